"""Lay out the volumes of a series: their slices in files, their affines, and the folder of the result."""

from __future__ import annotations

import os
import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mri_denoise.io.case import Case
from mri_denoise.io.dicom.dataset import NO_UID
from mri_denoise.io.dicom.instance import Instance
from mri_denoise.io.dicom.stack import Stack, evenly_spaced, normal, stack_problem

_LONGEST_NAME = 192  # bytes; file systems allow 255, with the number and what is appended for maps


@dataclass(frozen=True, eq=False, kw_only=True)
class StackPlan:
    """One volume at one time point.

    Args:
        slices: for each slice, in order: the index of its file in `DicomVolume.paths`, and its number in that file.
        affine: 4 x 4 float64, indices of column, row and slice to RAS+ mm; approximate unless the slices are even.
        contrast: a key, equal for volumes that differ in time only.
        moment: a key, what the header says of the time of the first slice; equal if nothing tells volumes apart.
        even: whether the slices lie at equal distances, so that the affine holds for all of them.
        placed: whether position and orientation are known; otherwise the affine holds the voxel size alone.
    """

    slices: tuple[tuple[int, int], ...]
    affine: np.ndarray
    contrast: Hashable
    moment: Hashable
    even: bool
    placed: bool


@dataclass(frozen=True, eq=False, kw_only=True)
class DicomVolume:
    """The details of a DICOM case: one volume, or several that share a file.

    Args:
        paths: the source files, each once, in the order of their first slice.
        names: the derived files, relative to the folder of the derived series, in the same order; empty for a volume
            that is written as NIfTI.
        shape: columns, rows, slices of a volume; one slice if the volumes differ in size.
        stacks: the volumes; the array holds their slices one after the other.
        contiguous: whether neighbouring slices may serve as context for one another.
        series_number: Series Number of the source; None if it has none.
        series_uid: Series Instance UID of the source; empty if it has none.
        description: Series Description of the source.
        what: kind of image and contrast, in words.
        notes: what is unusual, in words.
    """

    paths: tuple[Path, ...]
    names: tuple[Path, ...]
    shape: tuple[int, int, int]
    stacks: tuple[StackPlan, ...]
    contiguous: bool
    series_number: int | None
    series_uid: str
    description: str
    what: str = ""
    notes: tuple[str, ...] = ()

    @property
    def affine(self) -> np.ndarray:
        """4 x 4, indices of column, row and slice of the first volume to RAS+ mm."""
        return self.stacks[0].affine

    @property
    def slices(self) -> tuple[tuple[int, int], ...]:
        """For each slice, volume by volume: the index of its file, and its number in that file."""
        return tuple(one for stack in self.stacks for one in stack.slices)

    @property
    def array_shape(self) -> tuple[int, int, int, int]:
        """Shape of the array: volumes, columns, rows, slices."""
        return (len(self.slices) // self.shape[2], *self.shape)

    def by_file(self) -> dict[int, dict[int, tuple[int, int]]]:
        """Map the index of each file to its slices: their numbers in the file to volume and slice in the array."""
        found: dict[int, dict[int, tuple[int, int]]] = {k: {} for k in range(len(self.paths))}
        for k, (file, plane) in enumerate(self.slices):
            found[file][plane] = divmod(k, self.shape[2])
        return found


def volume_of(case: Case) -> DicomVolume:
    """The details of a DICOM case.

    Raises:
        TypeError: The case is not DICOM.
    """
    if not isinstance(case.details, DicomVolume):
        raise TypeError(f"{case.label}: not a DICOM case")
    return case.details


def plan_cases(stacks: list[Stack], root: Path, taken: set[str], patients: Mapping[Path, set[str]]) -> list[Case]:
    """Lay out the cases of one source series.

    Args:
        stacks: its volumes, from `mri_denoise.io.dicom.sort.sort_volumes`.
        root: the folder that the files were found under.
        taken: folders of other series, in lower case; the folder of this one is added.
        patients: the patients whose files lie in each folder.

    Returns:
        The cases, which share a folder. Files keep their names, and subfolders where those tell them apart.
    """
    parent = Path(os.path.commonpath([one.path.parent for stack in stacks for one in stack]))
    place = parent.relative_to(root) if parent.is_relative_to(root) else Path()
    output = place / _folder(stacks[0][0], place, taken)
    most = max(len(patients[folder]) for folder in {one.path.parent for stack in stacks for one in stack})
    said = (f"the folder holds {most} patients: each in a series of its own",) if most > 1 else ()
    cases = []
    parts = _sharing_files(stacks)
    for index, part in enumerate(parts, start=1):
        details = _details(part, parent, said)
        count = "" if len(parts) == 1 else f" (volume {index} of {len(parts)})"
        cases.append(
            Case(kind="dicom", sources=details.paths, output=output, label=output.as_posix() + count, details=details)
        )
    return cases


def _sharing_files(stacks: list[Stack]) -> list[list[Stack]]:
    """Join volumes that have slices in the same file, because a file is written as a whole."""
    part_of: dict[Path, list[Stack]] = {}
    parts: dict[int, list[Stack]] = {}
    for stack in stacks:
        part = [stack]
        for path in {one.path for one in stack}:
            other = part_of.get(path)
            if other is not None and other is not part:
                del parts[id(other)]
                part[:0] = other
                part_of.update((one.path, part) for moved in other for one in moved)
            part_of[path] = part
        parts[id(part)] = part
    return list(parts.values())


def _details(stacks: list[Stack], parent: Path, said: tuple[str, ...]) -> DicomVolume:
    """Lay out the volumes of one case."""
    first = stacks[0][0]
    paths = tuple(dict.fromkeys(one.path for stack in stacks for one in stack))
    index = {path: k for k, path in enumerate(paths)}
    problems = [stack_problem(stack) for stack in stacks]
    equal = len({len(stack) for stack in stacks}) == 1 and len({stack[0].spacing for stack in stacks}) == 1
    notes = [*said, *(f"{problem}: slice by slice" for problem in dict.fromkeys(filter(None, problems)))]
    if not equal:
        notes.append("volumes of unequal size in one file: slice by slice")
    if first.position is None or first.orientation is None:
        notes.append("no position or orientation: each image alone")
    forced = dict.fromkeys(one.forced for stack in stacks for one in stack if one.forced)
    notes += [f"forced: {reason}" for reason in forced]
    notes += dict.fromkeys(note for stack in stacks for one in stack for note in one.notes)
    plans = tuple(
        StackPlan(
            slices=tuple((index[one.path], one.plane) for one in stack),
            affine=affine_of(stack),
            contrast=(stack[0].series_number, stack[0].divider),
            moment=(stack[0].number, stack[0].moment, stack[0].timing),
            even=evenly_spaced(stack),
            placed=bool(stack[0].position and stack[0].orientation),
        )
        for stack in stacks
    )
    return DicomVolume(
        paths=paths,
        names=tuple(path.relative_to(parent) for path in paths),
        shape=(first.shape[1], first.shape[0], len(stacks[0]) if equal else 1),
        stacks=plans,
        contiguous=equal and len(stacks[0]) > 1 and not any(problems),
        series_number=first.series_number,
        series_uid="" if first.series[2].startswith(NO_UID) else first.series[2],
        description=first.description,
        what="; ".join(dict.fromkeys(stack[0].what for stack in stacks)),
        notes=tuple(notes),
    )


def _folder(first: Instance, place: Path, taken: set[str]) -> str:
    """Choose a folder name that no other series has: number and description, in characters safe for file systems."""
    number = [] if first.series_number is None else [str(first.series_number)]
    words = re.sub(r"[^\w.+-]+", "_", first.description).strip("._")[:80]
    words = words.encode(errors="ignore")[:_LONGEST_NAME].decode(errors="ignore")
    words = re.sub(r"\.(nii|nii\.gz)$", r"_\1", words, flags=re.IGNORECASE)  # a folder is no NIfTI file
    base = "_".join([*number, words] if words else [*number, "series"])
    base = base.lstrip("-") or "series"  # programs take such a name for an option
    name, count = base, 1
    while (place / name).as_posix().casefold() in taken:
        count += 1
        name = f"{base}_{count}"
    taken.add((place / name).as_posix().casefold())
    return name


def affine_of(stack: Stack) -> np.ndarray:
    """Affine from indices of column, row and slice to RAS+ mm (DICOM PS3.3 equation C.7.6.2.1-1, x and y negated).

    Args:
        stack: sorted slices. The step of a single slice is its thickness along the normal. Without position or
            orientation, the affine holds the voxel size only.

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
