"""Who is in a scan, by its place and name; and the split into training and validation by subject."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from mri_denoise.io.files import natural

VALIDATION_SHARE = 0.2  # of the subjects
_BIDS = re.compile(r"sub-[a-zA-Z0-9+]+")
_CONTRAST = re.compile(r"(?i)(?<![a-z0-9])(t[12]|pd|[1-9](\.[0-9]+)?t)(?![0-9])")  # numbers in T1, T2w, 3T tell nobody


def find_subjects(places: Sequence[Path]) -> list[str]:
    """Tell the subject of each scan: by its label of BIDS (``sub-01``), else by its folder, else by its name.

    The first folder counts; where all scans share it, the one below. Of files that lie in no folder it is the name up
    to its first number, so that several images of one person stay together; numbers of contrasts (T1, 3T) do not count.

    Args:
        places: paths relative to the folder that holds the scans.

    Examples:
        >>> find_subjects([Path("anna/T1.nii"), Path("anna/T2.nii"), Path("ben/T1.nii")])
        ['anna', 'anna', 'ben']
        >>> find_subjects([Path("data/anna/T1.nii"), Path("data/ben/T1.nii")]), find_subjects([Path("anna/T1.nii")])
        (['anna', 'ben'], ['anna'])
        >>> find_subjects([Path("p07_visit2_T1w.nii.gz"), Path("T1_anna.nii"), Path("a/sub-03_T1w.nii")])
        ['p07', 'T1_anna', 'sub-03']
    """
    parents = [place.parent.as_posix() for place in places]
    shared = len(Path(os.path.commonpath(parents)).parts) if places else 0
    if any(len(place.parts) == shared + 1 for place in places):  # its folder would be lost
        shared = max(shared - 1, 0)
    return [_subject(Path(*place.parts[shared:])) for place in places]


def _subject(place: Path) -> str:
    label = _BIDS.search(place.as_posix())
    if label:
        return label.group()
    if len(place.parts) > 1:
        return place.parts[0]
    stem = place.name.split(".")[0]
    masked = _CONTRAST.sub(lambda found: "_" * len(found.group()), stem)
    number = re.search(r"[0-9]+", masked)
    return stem[: number.end()] if number else stem


def patient_of(path: Path) -> str:
    """Make a name of a DICOM file's Patient ID that does not show it; empty if there is none.

    Args:
        path: the file.
    """
    try:
        header = dcmread(path, stop_before_pixels=True, force=True, specific_tags=["PatientID"])
        number = str(header.get("PatientID") or "").strip()
    except (OSError, ValueError, InvalidDicomError):
        return ""
    return f"patient-{hashlib.sha256(number.encode()).hexdigest()[:8]}" if number else ""


def choose_validation(subjects: Iterable[str], seed: int) -> set[str]:
    """Choose the subjects whose scans validate: one in five, at least one.

    Args:
        subjects: of all scans, two or more different ones.
        seed: of the choice.

    Examples:
        >>> chosen = choose_validation(["a", "a", "b", "c"], seed=0)
        >>> len(chosen), chosen == choose_validation(["c", "b", "a"], seed=0)
        (1, True)
    """
    known = sorted(set(subjects), key=natural)
    count = min(max(round(VALIDATION_SHARE * len(known)), 1), len(known) - 1)
    return {known[i] for i in np.random.default_rng(seed).permutation(len(known))[:count]}
