"""MONAI datalists: the volumes of a prepared data set. Read without importing MONAI, which takes seconds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from mri_denoise.errors import InputError

MAKE_ONE = "make one with mri-denoise data prepare"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One volume of a datalist.

    Args:
        image: its file.
        contrast: as ``T1w``; empty where the datalist does not say.
        subject: whom it shows; empty where the datalist does not say.
    """

    image: Path
    contrast: str = ""
    subject: str = ""


def read_datalist(path: Path) -> dict[str, list[Entry]]:
    """Read a datalist.

    Args:
        path: a JSON file: for each split a list of entries with ``image``, relative to the file, and optionally
            ``contrast`` and ``subject``. Other keys are ignored.

    Returns:
        the volumes of each split: ``training``, ``validation``, ``test``.

    Raises:
        InputError: if there is no such file, or it is not a datalist.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        splits = {split: content[split] for split in ("training", "validation", "test") if split in content}
        return {split: [_entry(path.parent, entry) for entry in entries] for split, entries in splits.items()}
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); {MAKE_ONE}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: is no datalist of images ({type(error).__name__}: {error}); {MAKE_ONE}.") from error


def _entry(folder: Path, entry: dict[str, str]) -> Entry:
    image = folder / str(entry["image"])
    return Entry(image=image, contrast=str(entry.get("contrast") or ""), subject=str(entry.get("subject") or ""))
