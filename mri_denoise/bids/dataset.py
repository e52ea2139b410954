"""A raw BIDS data set: its description, its participants, and what is wrong with it in one line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mri_denoise.bids.files import read_json
from mri_denoise.errors import InputError
from mri_denoise.io.files import natural, reading

DESCRIPTION = "dataset_description.json"
SOFTWARE = "mri-denoise"


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A raw data set.

    Args:
        root: its folder.
        description: the content of its ``dataset_description.json``; empty if it has none.
        participants: labels of its folders ``sub-LABEL``, in natural order.
    """

    root: Path
    description: Mapping[str, Any]
    participants: tuple[str, ...]


def open_dataset(root: Path, *, lenient: bool = False) -> Dataset:
    """Open a raw data set; only the description is read, and the names of the folders at the top.

    Args:
        root: its folder.
        lenient: take it without a description, too.

    Raises:
        InputError: if it is none: no folder, no readable description, a derivative, no participant.
    """
    if not root.exists():
        raise InputError(f"{root}: no such folder; check the path")
    if not root.is_dir():
        raise InputError(f"{root}: is a file, but a BIDS data set is a folder")
    try:
        description = read_json(root / DESCRIPTION)
    except InputError as error:
        if not lenient:
            hint = "not a BIDS data set; give the folder with dataset_description.json"
            raise InputError(f"{root}: {hint} ({str(error).removeprefix(f'{root}/')})") from error
        description = {}
    if SOFTWARE in makers(description):
        raise InputError(f"{root}: was denoised by {SOFTWARE} already; give the raw data that it comes from")
    if description.get("DatasetType") == "derivative":
        raise InputError(f"{root}: holds results (DatasetType derivative); give the raw data that they come from")
    with reading(root):
        folders = _participants(root)
    if not folders:
        raise InputError(f"{root}: has no folder sub-LABEL; give the root of the BIDS data set")
    participants = sorted((name.removeprefix("sub-") for name in folders), key=natural)
    return Dataset(root=root, description=description, participants=tuple(participants))


def is_dataset(path: Path) -> bool:
    """Whether a folder looks like the root of a raw BIDS data set, or of one that this program made.

    What :func:`open_dataset` refuses in such a folder is a mistake that the user should know of. Other programs'
    derivatives are folders like any other.
    """
    try:
        if not (path / DESCRIPTION).is_file() or not _participants(path):
            return False
    except OSError:
        return False
    try:
        description = read_json(path / DESCRIPTION)
    except InputError:  # broken, which is for open_dataset to say
        return True
    return SOFTWARE in makers(description) or description.get("DatasetType") != "derivative"


def is_raw(path: Path) -> bool:
    """Whether a folder is the root of raw data, into which nothing is written."""
    try:
        description = read_json(path / DESCRIPTION) if (path / DESCRIPTION).is_file() else None
    except InputError:  # broken
        return True
    if description is None or SOFTWARE in makers(description):
        return False
    return description.get("DatasetType") != "derivative"


def makers(description: Mapping[str, Any]) -> list[Any]:
    """The names of the software that made a data set, by its description."""
    made = description.get("GeneratedBy")
    return [step.get("Name") for step in made if isinstance(step, dict)] if isinstance(made, list) else []


def _participants(root: Path) -> list[str]:
    return [entry.name for entry in root.iterdir() if entry.name.startswith("sub-") and entry.is_dir()]
