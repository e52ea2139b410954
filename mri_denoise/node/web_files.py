"""Files from and to a DICOMweb server."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from mri_denoise.errors import InputError
from mri_denoise.io.files import write_beside
from mri_denoise.node.log import first_line
from mri_denoise.node.spool import is_uid
from mri_denoise.node.web import WebServer


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """How many images were written, and of how many series."""

    images: int
    series: int


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A file that the server did not store, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, kw_only=True)
class Pushed:
    """How many images were stored, and which were refused."""

    images: int
    refused: tuple[Refused, ...]


def pull(server: WebServer, output: Path, *, study: str | None = None, series: str | None = None) -> Pulled:
    """Fetch the series of a study, or one series, into ``output/SERIES/INSTANCE.dcm``.

    Files that are there already stay. Whatever ends it, the files written so far are whole. A server may send a part of
    a series as an answer that looks whole, so what it lists is held against what has come.

    Args:
        server: where from.
        output: a folder, made if missing.
        study: Study Instance UID; needed if there is no `series`.
        series: Series Instance UID; all those of the study if there is none.

    Raises:
        InputError: if there is no such study or series, an image has no usable UIDs, or a file cannot be written.
        ConnectionError: if the server cannot be reached, broke off, exceeds a limit or sends less than it lists.
        ValueError: if it refuses, or answers something else than DICOM.
    """
    if study is None:
        assert series is not None
        study = server.study_of(series)
    found = server.series(_checked(study, "study"), series) if study is not None else []
    if not found:
        what = "study" if series is None else "series"
        raise InputError(f"no such {what} on the server: {series or study}; check its UID")
    written = 0
    for one in found:
        for ds in server.fetch(_checked(study, "study"), _checked(one, "series")):
            written += _write(ds, output / one)
        listed = server.instances(_checked(study, "study"), one)
        here = {path.stem for path in (output / one).glob("*.dcm")}
        if missing := len(listed - here):
            raise ConnectionError(f"series {one}: {missing} of the {len(listed)} images listed did not come; try again")
    return Pulled(images=written, series=len(found))


def push(server: WebServer, files: Iterable[Path]) -> Pushed:
    """Store files.

    Raises:
        ConnectionError: if the server cannot be reached, broke off or exceeds a limit.
    """
    stored, refused = 0, []
    for path in files:
        try:
            server.store(path)
            stored += 1
        except ValueError as error:
            refused.append(Refused(path=path, reason=str(error)))
    return Pushed(images=stored, refused=tuple(refused))


def _checked(uid: str | None, kind: str) -> str:
    """A UID that the server gave, which becomes part of a path."""
    if uid is None or not is_uid(uid):
        raise InputError(f"the server names a {kind} {str(uid)[:100]!r}, which is not a UID")
    return uid


def _write(ds: Dataset, folder: Path) -> bool:
    """Write an image; False if it is there already."""
    try:
        instance = str(ds.get("SOPInstanceUID", ""))
    except Exception:  # pydicom raises what its parser happens to meet in foreign bytes
        instance = ""
    if not is_uid(instance):
        raise InputError(f"series {folder.name}: the server sent an image without a usable SOP Instance UID")
    path = folder / f"{instance}.dcm"
    if path.exists():
        return False
    try:
        with write_beside(path) as partial:
            pydicom.dcmwrite(partial, ds, enforce_file_format=True)
    except InputError:
        raise
    except Exception as error:  # elements are decoded when they are written
        raise InputError(
            f"series {folder.name}: the server sent an image that is not DICOM ({first_line(error)})"
        ) from error
    return True
