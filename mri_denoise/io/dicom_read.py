"""DICOM files to volumes: which images belong together, why others are left alone, and their pixels with geometry."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mri_denoise.io.case import Case, InputError, Skip, Volume
from mri_denoise.io.dicom_header import Instance, read_instance
from mri_denoise.io.dicom_pixels import decode, open_image, pixel_format, real_values, stored_values
from mri_denoise.io.dicom_sort import Stack, normal, sort_volumes, stack_problem
from mri_denoise.io.files import reading


@dataclass(frozen=True, eq=False)
class DicomVolume:
    """What reader and writer know of one volume.

    Args:
        paths: the source files in the order of the slices.
        names: the derived files, relative to the folder of the derived series, in the same order.
        shape: columns, rows, slices.
        affine: 4 x 4 float64, indices of column, row and slice to RAS+ mm; approximate unless `contiguous`.
        contiguous: whether neighbouring slices may serve as context for one another.
        series_uid: Series Instance UID of the source.
        description: Series Description of the source.
        notes: in words, what is unusual about the geometry.
    """

    paths: tuple[Path, ...]
    names: tuple[Path, ...]
    shape: tuple[int, int, int]
    affine: np.ndarray
    contiguous: bool
    series_uid: str
    description: str
    notes: tuple[str, ...] = ()


def discover(files: Iterable[Path], root: Path) -> tuple[list[Case], list[Skip]]:
    """Sort DICOM files into volumes by their headers.

    Args:
        files: the files to look at, DICOM or not.
        root: the folder they were found under; outputs keep the place of their series below it.

    Returns:
        One case a volume, and the files that are left alone with the reason. The volumes of one source series share
        one output folder, that of the derived series; the names of their files never collide in it
        (`DicomVolume.names`). DICOMDIR files are passed over.
    """
    instances: list[Instance] = []
    skips: list[Skip] = []
    for path in sorted(set(files)):
        found = read_instance(path)
        if isinstance(found, Skip):
            skips.append(found)
        elif found is not None:
            instances.append(found)
    instances, duplicates = _without_duplicates(instances)
    skips += duplicates
    volumes: dict[tuple[str, ...], list[Stack]] = defaultdict(list)
    for stack in sort_volumes(instances):
        if stack[0].spacing is None:
            skips += [Skip(one.path, "no pixel spacing: sizes in mm are unknown") for one in stack]
        else:
            volumes[stack[0].series].append(stack)
    cases: list[Case] = []
    taken: set[str] = set()
    for stacks in sorted(volumes.values(), key=lambda s: (s[0][0].series_number or 0, s[0][0].series)):
        cases += _cases(stacks, root, taken)
    return cases, sorted(skips, key=lambda skip: skip.source)


def read(case: Case) -> Volume:
    """Read the pixels of a volume.

    Args:
        case: from `discover`.

    Returns:
        The volume: float32 (1, columns, rows, slices) in real-world units (Rescale Slope and Intercept of each slice),
        affine to RAS+ mm without any flip of the pixels, slices along the last axis.

    Raises:
        InputError: a file cannot be read or decoded, or has changed since it was discovered.
    """
    details: DicomVolume = case.details
    with reading(details.paths[0]):
        array = np.empty((1, *details.shape), dtype=np.float32)
    for k, path in enumerate(details.paths):
        ds = open_image(path)
        layout = pixel_format(ds)
        if layout.shape != (details.shape[1], details.shape[0]):
            raise InputError(f"{path}: size has changed to {layout.shape} since the folder was searched; start again")
        array[0, :, :, k] = real_values(stored_values(decode(ds, path), layout), layout).T
    return Volume(array, details.affine.copy(), slice_axis=2, contiguous=details.contiguous)


def affine_of(stack: Stack) -> np.ndarray:
    """Indices of column, row and slice to RAS+ mm (DICOM PS3.3 equation C.7.6.2.1-1, x and y negated).

    Args:
        stack: sorted slices. A single slice steps by its thickness along the normal; without position or orientation
            the affine holds the voxel size only.

    Returns:
        4 x 4 float64.
    """
    first = stack[0]
    row_spacing, column_spacing = first.spacing or (1.0, 1.0)
    if first.orientation is None or first.position is None:
        return np.diag([column_spacing, row_spacing, first.thickness or 1.0, 1.0])
    cosines = np.asarray(first.orientation, dtype=np.float64)
    if len(stack) > 1:
        step = np.subtract(stack[-1].position or (), first.position) / (len(stack) - 1)
    else:
        step = normal(first) * (first.thickness or 1.0)
    affine = np.eye(4)
    affine[:3, 0] = cosines[:3] * column_spacing
    affine[:3, 1] = cosines[3:] * row_spacing
    affine[:3, 2] = step
    affine[:3, 3] = first.position
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def _cases(stacks: list[Stack], root: Path, taken: set[str]) -> list[Case]:
    """The cases of one source series, which share a folder; files keep their names and what tells them apart in it."""
    parent = Path(os.path.commonpath([one.path.parent for stack in stacks for one in stack]))
    place = parent.relative_to(root) if parent.is_relative_to(root) else Path()
    output = place / _folder(stacks[0][0], place, taken)
    cases = []
    for index, stack in enumerate(stacks, start=1):
        first = stack[0]
        problem = stack_problem(stack)
        notes = [f"{problem}: slice by slice"] if problem else []
        if first.position is None or first.orientation is None:
            notes.append("no position or orientation: each image alone")
        paths = tuple(one.path for one in stack)
        details = DicomVolume(
            paths=paths,
            names=tuple(path.relative_to(parent) for path in paths),
            shape=(first.shape[1], first.shape[0], len(stack)),
            affine=affine_of(stack),
            contiguous=len(stack) > 1 and problem is None,
            series_uid=first.series[-1],
            description=first.description,
            notes=tuple(notes),
        )
        part = "" if len(stacks) == 1 else f" (volume {index} of {len(stacks)})"
        cases.append(Case("dicom", paths, output, output.as_posix() + part, details))
    return cases


def _folder(first: Instance, place: Path, taken: set[str]) -> str:
    """A folder name that no other series has: number and description, with what file systems do not like replaced."""
    number = [] if first.series_number is None else [str(first.series_number)]
    words = re.sub(r"[^\w.+-]+", "_", first.description).strip("._")[:80]
    base = "_".join([*number, words] if words else [*number, "series"])
    name, count = base, 1
    while (place / name).as_posix().casefold() in taken:
        count += 1
        name = f"{base}_{count}"
    taken.add((place / name).as_posix().casefold())
    return name


def _without_duplicates(instances: list[Instance]) -> tuple[list[Instance], list[Skip]]:
    """Keep one image for each SOP Instance UID: the first, by path, whose pixels can be decoded."""
    copies: dict[str, Stack] = defaultdict(list)
    for one in instances:
        copies[one.sop_uid].append(one)
    kept: list[Instance] = []
    skips: list[Skip] = []
    for same in copies.values():
        best = same[0] if len(same) == 1 else next(filter(_decodes, same), same[0])
        kept.append(best)
        reason = f"copy of {best.path.name} (same SOP Instance UID)"
        skips += [Skip(one.path, reason) for one in same if one is not best]
    return kept, skips


def _decodes(instance: Instance) -> bool:
    try:
        decode(open_image(instance.path), instance.path)
    except InputError:
        return False
    return True
