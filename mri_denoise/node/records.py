"""Records as JSON, in files and between processes. A record is a frozen dataclass; pydantic checks what is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from mri_denoise.node import disk

T = TypeVar("T")
_ADAPTERS: dict[type, TypeAdapter[Any]] = {}


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
