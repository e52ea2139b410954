"""DICOM files to volumes: which slices belong together, why others are left alone, and their pixels with geometry."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from mri_denoise.errors import InputError
from mri_denoise.io.case import Case, Skip
from mri_denoise.io.dicom.eligibility import PARSE_ERRORS
from mri_denoise.io.dicom.instance import Instance, read_file
from mri_denoise.io.dicom.layout import DicomVolume, plan_cases, volume_of
from mri_denoise.io.dicom.pixels import decode, open_image, pixel_format, real_values, stored_values
from mri_denoise.io.dicom.planes import Plane, planes
from mri_denoise.io.dicom.sort import Stack, sort_volumes
from mri_denoise.io.files import natural, reading
from mri_denoise.volume import Volume


def discover(files: Iterable[Path], root: Path, *, force: bool = False) -> tuple[list[Case], list[Skip]]:
    """Sort DICOM files into volumes by their headers.

    Args:
        files: the files to look at, DICOM or not.
        root: the folder they were found under; outputs keep the place of their series below it.
        force: take also what is no magnitude image, or is not wanted denoised (phase, maps, localizers ...).

    Returns:
        One case a volume (or for all volumes of a file that holds several), in the order of series, and the files
        that are left alone with the reason. The volumes of one source series share
        one output folder, that of the derived series; the names of their files never collide in it
        (`DicomVolume.names`). DICOMDIR files are passed over.
    """
    instances: list[Instance] = []
    skips: list[Skip] = []
    for path in sorted(set(files), key=lambda path: natural(str(path))):
        found, left = read_file(path, force=force)
        instances += found
        skips += left
    instances, duplicates = _without_duplicates(instances)
    skips += duplicates
    volumes: dict[tuple[str, ...], list[Stack]] = defaultdict(list)
    for stack in sort_volumes(instances):
        if stack[0].spacing is None:
            reason = "no pixel spacing: sizes in mm are unknown"
            skips += [Skip(source=path, reason=reason) for path in dict.fromkeys(one.path for one in stack)]
        else:
            volumes[stack[0].series].append(stack)
    cases: list[Case] = []
    taken: set[str] = set()
    patients: dict[Path, set[tuple[str, ...]]] = defaultdict(set)
    for one in instances:
        patients[one.path.parent].add(one.series[:3])
    for stacks in sorted(volumes.values(), key=lambda s: (s[0][0].series_number or 0, s[0][0].series)):
        cases += plan_cases(stacks, root, taken, patients)
    return cases, sorted(skips, key=lambda skip: natural(str(skip.source)))


def read(case: Case) -> Volume:
    """Read the pixels of a volume.

    Args:
        case: from `discover`.

    Returns:
        The volume: float32 (volumes, columns, rows, slices) in real-world units (Rescale Slope and Intercept of each
        slice), affine to RAS+ mm without any flip of the pixels, slices along the last axis.

    Raises:
        InputError: a file cannot be read or decoded, or has changed since it was discovered.
    """
    details = volume_of(case)
    with reading(details.paths[0]):
        array = np.empty(details.array_shape, dtype=np.float32)
    for file, wanted in details.by_file().items():
        for (t, z), plane, words in slices_of(details, file, wanted):
            layout = pixel_format(plane.header)
            array[t, :, :, z] = real_values(stored_values(words, layout), layout).T
    return Volume(array=array, affine=details.affine.copy(), slice_axis=2, contiguous=details.contiguous)


def slices_of(
    details: DicomVolume, file: int, wanted: dict[int, tuple[int, int]]
) -> Iterator[tuple[tuple[int, int], Plane, np.ndarray]]:
    """Go through the slices of a file that belong to a case.

    Args:
        details: of the case.
        file: index of the file.
        wanted: from `DicomVolume.by_file`.

    Yields:
        Volume and slice in the array, the plane, and its words (unsigned integers, shape (rows, columns)).

    Raises:
        InputError: the file cannot be read or decoded, or has changed since it was discovered.
    """
    path = details.paths[file]
    ds = open_image(path)
    found = planes_of(ds, path)
    frames: dict[int, np.ndarray] = {}
    for k, place in sorted(wanted.items()):
        if k >= len(found) or found[k].shape != (details.shape[1], details.shape[0]):
            raise InputError(f"{path}: its size has changed since the folder was searched; start again")
        plane = found[k]
        if plane.frame not in frames:
            frames = {plane.frame: decode(ds, path, plane.frame)}
        yield place, plane, plane.cut(frames[plane.frame])


def planes_of(ds: Dataset, path: Path) -> list[Plane]:
    """The planes of a file that was discovered before.

    Raises:
        InputError: it has changed since, or is damaged.
    """
    try:
        return planes(ds)
    except PARSE_ERRORS as error:
        raise InputError(f"{path}: {' '.join(str(error).split())[:160]}; start again, or repair the file") from error


def _without_duplicates(instances: list[Instance]) -> tuple[list[Instance], list[Skip]]:
    """Keep one file for each SOP Instance UID: the first, by path, whose pixels can be decoded."""
    copies: dict[str, dict[Path, Instance]] = defaultdict(dict)
    for one in instances:
        copies[one.sop_uid].setdefault(one.path, one)
    dropped: dict[Path, Skip] = {}
    for same in copies.values():
        paths = list(same)
        best = paths[0] if len(paths) == 1 else next(filter(_decodes, paths), paths[0])
        reason = f"copy of {best.name} (same SOP Instance UID)"
        dropped |= {path: Skip(source=path, reason=reason) for path in paths if path != best}
    return [one for one in instances if one.path not in dropped], list(dropped.values())


def _decodes(path: Path) -> bool:
    try:
        decode(open_image(path), path)
    except InputError:
        return False
    return True
