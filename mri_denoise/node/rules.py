"""Which rule holds for a series, and which series are this package's own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from mri_denoise.io.dicom import MANUFACTURER
from mri_denoise.node.settings import Rule


def header(path: Path) -> Dataset:
    """The header of an image, pixels left out; an empty one if it cannot be read."""
    try:
        return pydicom.dcmread(path, stop_before_pixels=True)
    except Exception:  # pydicom raises what its parser happens to meet in foreign bytes
        return Dataset()


def choose(rules: Sequence[Rule], ds: Dataset) -> tuple[Rule, int | None]:
    """The first rule all of whose patterns are found in the header.

    Args:
        rules: in order.
        ds: of any image of the series; several values are joined by a backslash, a missing one is empty.

    Returns:
        the rule and its number from 0 on; the defaults and None if there is no match.
    """
    for number, rule in enumerate(rules):
        if all(re.search(pattern, _text(ds, keyword), re.IGNORECASE) for keyword, pattern in rule.match.items()):
            return rule, number
    return Rule(), None


def is_own(ds: Dataset) -> bool:
    """Whether an image was made by this package: never denoised again, never sent on, so that no loop can form."""
    try:
        items = ds.get("ContributingEquipmentSequence") or []
        return any(str(item.get("Manufacturer", "")) == MANUFACTURER for item in items)
    except Exception:  # a damaged sequence
        return False


def _text(ds: Dataset, keyword: str) -> str:
    try:
        found = ds.get(keyword)
    except Exception:  # a value that cannot be converted
        return ""
    if found is None:
        return ""
    if isinstance(found, str | int | float):
        return str(found)
    try:
        return "\\".join(str(one) for one in found)
    except TypeError:
        return str(found)
