"""Inputs as they were before they were read, and whether they still are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mri_denoise.bundles.weights import sha256
from mri_denoise.errors import InputError
from mri_denoise.io.case import Case
from mri_denoise.io.files import reading
from mri_denoise.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Stamp:
    """A file at one time.

    Args:
        path: as it was given.
        size: in bytes.
        modified: when it was written last, nanoseconds.
        sha256: of its content, in hexadecimal digits.
    """

    path: Path
    size: int
    modified: int
    sha256: str


def take_stamp(path: Path) -> Stamp:
    """Look at a file.

    Raises:
        InputError: if it cannot be read.
    """
    with reading(path):
        before = path.stat()
        return Stamp(path=path, size=before.st_size, modified=before.st_mtime_ns, sha256=sha256(path))


def stamps_of(case: Case, settings: Settings) -> list[Stamp]:
    """Look at all files that a result will be made of: those of the case, and the map of the noise level if any.

    Raises:
        InputError: if one cannot be read, or the map is the image itself.
    """
    sources = [take_stamp(path) for path in case.sources]
    if settings.sigma.path is None:
        return sources
    level = take_stamp(settings.sigma.path)
    if level.sha256 in {stamp.sha256 for stamp in sources}:
        raise InputError(
            f"{level.path}: is the image itself, no noise map; give a map of its noise level, or a number."
        )
    return [*sources, level]


def refuse_changes(before: Sequence[Stamp], after: Sequence[Stamp]) -> None:
    """Refuse a result that may be of two contents of a file: headers and values are read at several times.

    Args:
        before: what the files were before the first of them was read.
        after: what they are after the last one was.

    Raises:
        InputError: if one has changed.
    """
    for then, now in zip(before, after, strict=True):
        if then != now:
            raise InputError(f"{now.path}: has changed while it was read; run again when nothing writes to it")
