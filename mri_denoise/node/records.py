"""What is decided about a series, and records as JSON, in files and between processes.

A record is a frozen dataclass; pydantic checks what is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from mri_denoise.node import disk

T = TypeVar("T")
_ADAPTERS: dict[type, TypeAdapter[Any]] = {}


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A received file that was not denoised.

    Args:
        file: its name in the series folder's ``source``.
        reason: why, in one line.
        damaged: whether it should have been an image but is not whole.
    """

    file: str
    reason: str
    damaged: bool = False


@dataclass(frozen=True, kw_only=True)
class Job:
    """What was decided about a series, and why: ``job.json`` in its folder.

    Args:
        rule: number of the rule that holds, from 0 on; None for the defaults.
        images: how many were received.
        skipped: those that were not denoised.
        send: files to send, relative to the series folder.
        failed: why the series failed, one line each.
        crashes: how often the denoising process ended while it had the series.
        error: why the last attempt to send did not succeed.
        unsent_since: when it was first tried to send, in seconds since 1970.
    """

    rule: int | None = None
    images: int = 0
    skipped: tuple[Skipped, ...] = ()
    send: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    crashes: int = 0
    error: str | None = None
    unsent_since: float | None = None


def to_json(record: object, indent: int | None = None) -> bytes:
    """A record as JSON."""
    return _adapter(type(record)).dump_json(record, indent=indent)


def from_json(kind: type[T], text: bytes) -> T:
    """A record from JSON; keys that it does not have are ignored.

    Raises:
        ValueError: if a value is missing or of another type.
    """
    made: T = _adapter(kind).validate_json(text)
    return made


def write(path: Path, record: object) -> None:
    """Write a record whole or not at all."""
    disk.write_bytes(path, to_json(record, indent=1) + b"\n")


def read(path: Path, kind: type[T]) -> T | None:
    """Read a record; None if the file is missing or holds something else."""
    try:
        return from_json(kind, path.read_bytes())
    except (OSError, ValidationError):
        return None


def _adapter(kind: type) -> TypeAdapter[Any]:
    """What validates and writes a kind of record; made once, since that takes as long as a thousand records."""
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]
