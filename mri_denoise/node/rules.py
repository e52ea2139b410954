"""Which rule applies to a series, and which series this package made."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from mri_denoise.io.dicom import MANUFACTURER
from mri_denoise.node.settings import Rule


def header(path: Path) -> Dataset:
    """Read the header of an image without its pixels; return an empty one if it cannot be read."""
    try:
        return pydicom.dcmread(path, stop_before_pixels=True)
    except Exception:  # pydicom raises what its parser happens to meet in foreign bytes
        return Dataset()


def choose(rules: Sequence[Rule], ds: Dataset) -> tuple[Rule, int | None]:
    """Choose the first rule of which every pattern is found in the header.

    Args:
        rules: in order.
        ds: header of any image of the series. Several values are joined by a backslash, a missing one is empty.

    Returns:
        the rule and its number, from 0 on; the defaults and None if no rule matches.
    """
    for number, rule in enumerate(rules):
        if all(re.search(pattern, _text(ds, keyword), re.IGNORECASE) for keyword, pattern in rule.match.items()):
            return rule, number
    return Rule(), None


def is_own(ds: Dataset) -> bool:
    """Whether this package made an image. It is not denoised or sent again, so that no loop can form."""
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
