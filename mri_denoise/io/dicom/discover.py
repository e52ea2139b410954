"""Find the volumes in DICOM files: which slices belong together, and why the others are left alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from mri_denoise.io.case import Case, Skip
from mri_denoise.io.dicom.copies import without_copies
from mri_denoise.io.dicom.instance import Instance, read_file
from mri_denoise.io.dicom.layout import plan_cases
from mri_denoise.io.dicom.sort import sort_volumes
from mri_denoise.io.dicom.stack import Stack
from mri_denoise.io.files import natural


def discover(
    files: Iterable[Path], root: Path, *, force: bool = False, own_results: bool = True
) -> tuple[list[Case], list[Skip]]:
    """Sort DICOM files into volumes by their headers.

    Args:
        files: the files to look at, DICOM or not.
        root: the folder they were found under; outputs keep the place of their series below it.
        force: take also phase images, maps, localizers and other images that are usually not denoised.
        own_results: take also what this package denoised before.

    Returns:
        One case a volume, or one for all volumes of a file that holds several, in the order of series; and the files
        that are left alone, with the reason. The volumes of one source series share an output folder, that of the
        derived series, in which the names of their files never collide (`DicomVolume.names`). DICOMDIR files are
        passed over.
    """
    instances: list[Instance] = []
    skips: list[Skip] = []
    for path in sorted(set(files), key=lambda path: natural(str(path))):
        found, left = read_file(path, force=force, own_results=own_results)
        instances += found
        skips += left
    instances, wrapped = _without_wrapped(instances)
    skips += wrapped
    instances, duplicates = without_copies(instances)
    skips += duplicates
    volumes: dict[tuple[str, str, str], list[Stack]] = defaultdict(list)
    for stack in sort_volumes(instances):
        if stack[0].spacing is None:
            reason = "no pixel spacing: sizes in mm are unknown"
            skips += [Skip(source=path, reason=reason) for path in dict.fromkeys(one.path for one in stack)]
        else:
            volumes[stack[0].series].append(stack)
    cases: list[Case] = []
    taken: set[str] = set()
    patients: dict[Path, set[str]] = defaultdict(set)
    for one in instances:
        patients[one.path.parent].add(one.series[0])
    for stacks in sorted(volumes.values(), key=lambda s: (s[0][0].series_number or 0, s[0][0].series)):
        cases += plan_cases(stacks, root, taken, patients)
    return cases, sorted(skips, key=lambda skip: natural(str(skip.source)))


def _without_wrapped(instances: list[Instance]) -> tuple[list[Instance], list[Skip]]:
    """Take out series of which a slice has values beyond Bits Stored; those of the others may be wrapped, too.

    Returns:
        The slices that stay, and the files of such series, which count as damaged.
    """
    why = {one.series: one.wrapped for one in instances if one.wrapped}
    files = {one.path: one for one in instances if one.series in why}
    reasons = {path: one.wrapped or f"its series has slices with {why[one.series]}" for path, one in files.items()}
    left = [one for one in instances if one.series not in why]
    return left, [Skip(source=path, reason=reason, damaged=True) for path, reason in reasons.items()]
