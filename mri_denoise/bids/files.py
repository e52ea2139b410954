"""Small files of a data set: JSON in and out, written only where something changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

from mri_denoise.errors import InputError
from mri_denoise.io.files import reading, write_beside


def read_json(path: Path) -> dict[str, Any]:
    """Read a file that holds a JSON object.

    Raises:
        InputError: if it cannot be read, or holds something else.
    """
    with reading(path):
        content = path.read_bytes()
    try:
        value = json.loads(content.decode("utf-8-sig"), parse_constant=_no_number)
    except ValueError as error:  # UnicodeDecodeError, JSONDecodeError
        raise InputError(f"{path}: not JSON ({str(error).splitlines()[0]}); mend or remove it") from error
    except RecursionError as error:
        raise InputError(f"{path}: not JSON that can be read (nested too deeply); mend or remove it") from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: must hold a JSON object ({{...}}); mend or remove it")
    return value


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number of JSON")


def as_json(value: object) -> bytes:
    """The content of a JSON file: the same for the same value."""
    return (json.dumps(value, indent=2) + "\n").encode()


def write_if_new(path: Path, content: bytes) -> bool:
    """Write a file unless it holds this already.

    Returns:
        whether it was written.

    Raises:
        OutputError: if it cannot be written.
    """
    try:
        if path.read_bytes() == content:
            return False
    except OSError:  # not there, or to be written anew
        pass
    with write_beside(path) as partial:
        partial.write_bytes(content)
    return True
