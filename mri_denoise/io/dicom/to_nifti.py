"""Write DICOM volumes as NIfTI, with the values and the geometry that the derived DICOM series would have.

The axes are columns, rows from bottom to top, and slices along the normal of rows and columns, so that the determinant
of the affine is negative, as FSL expects. dcm2niix does the same, but keeps the order of acquisition of some slices;
the third axis of its file and of its affine then run the other way.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Hashable, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np

from mri_denoise.errors import InputError
from mri_denoise.io.case import Case, Skip
from mri_denoise.io.dicom.dataset import number
from mri_denoise.io.dicom.layout import DicomVolume, StackPlan, volume_of
from mri_denoise.io.dicom.pixels import PixelFormat, pixel_format, real_values, replaced, stored_values
from mri_denoise.io.dicom.read import slices_of
from mri_denoise.io.files import NIFTI_ENDINGS, write_beside

_AFFINE_TOLERANCE = 1e-3


def as_nifti(cases: Sequence[Case]) -> tuple[list[Case], list[Skip]]:
    """Turn DICOM cases into cases that are written as NIfTI; time points of one series become one file.

    Args:
        cases: from `mri_denoise.io.discover`; cases of other formats stay as they are.

    Returns:
        The cases, whose outputs are files such as ``5_t2_tse.nii.gz``, numbered if a series gives several; and what
        NIfTI cannot hold.
    """
    skips: list[Skip] = []
    groups: dict[Hashable, list[Case]] = {}
    for case in cases:
        if case.series and not all(stack.even for stack in volume_of(case).stacks):
            reason = "slices at unequal distances, which NIfTI cannot say; write DICOM instead"
            skips.append(Skip(source=case.sources[0], reason=reason))
            continue
        group = groups.setdefault(_series_key(case), [])
        if group and not _follows(volume_of(case).stacks[0], [volume_of(other).stacks[0] for other in group]):
            group = groups.setdefault(id(case), [])
        group.append(case)
    return _named([_joined(group) for group in groups.values()]), skips


def _series_key(case: Case) -> Hashable:
    """Equal for single volumes that may be time points of one series; unique for every other case."""
    if not case.series:
        return id(case)
    volume = volume_of(case)
    single = len(volume.stacks) == 1 and volume.shape[2] == len(volume.stacks[0].slices)
    return (case.output, volume.contiguous, volume.stacks[0].contrast) if single else id(case)


def _named(cases: list[Case]) -> list[Case]:
    """Name the files of DICOM cases, numbered where several come from one series."""
    several = Counter(case.output for case in cases)
    counts: Counter[Path] = Counter()
    named = []
    for case in cases:
        if case.series:
            counts[case.output] += 1
            suffix = f"_{counts[case.output]}" if several[case.output] > 1 else ""
            output = case.output.with_name(f"{case.output.name}{suffix}.nii.gz")
            details = dataclasses.replace(volume_of(case), names=())
            case = dataclasses.replace(case, output=output, label=output.as_posix(), details=details)
        named.append(case)
    return named


def write_nifti(case: Case, array: np.ndarray, destination: Path) -> list[Path]:
    """Write a DICOM case as NIfTI-1.

    Stored integers, slope and intercept are those of the source if all slices share slope and intercept; otherwise the
    values are written as float32. Volumes that differ in more than time go to separate, numbered files.

    Args:
        case: from `mri_denoise.io.discover`.
        array: float32 (volumes, columns, rows, slices), in the source's real-world units.
        destination: the file, ``.nii`` or ``.nii.gz``.

    Returns:
        The files written.

    Raises:
        InputError: A source cannot be read any more, or has another shape than the array.
        OutputError: A file would replace one of the sources, or cannot be written.
    """
    details = volume_of(case)
    if array.shape != details.array_shape:
        raise InputError(f"{case.label}: result has shape {array.shape}, the source {details.array_shape}")
    stored, formats, seconds = _values(details, array)
    groups = _groups(details.stacks)
    written = []
    for index, group in enumerate(groups, start=1):
        name = destination.name
        if len(groups) > 1:
            ending = next(e for e in sorted(NIFTI_ENDINGS, key=len, reverse=True) if name.lower().endswith(e))
            name = f"{name[: -len(ending)]}_{index}{name[-len(ending) :]}"
        image = _image([details.stacks[k] for k in group], stored, formats, seconds)
        with write_beside(destination.with_name(name), case.sources) as partial:
            nib.save(image, partial)
        written.append(destination.with_name(name))
    return written


def _values(
    details: DicomVolume, array: np.ndarray
) -> tuple[dict[tuple[int, int], np.ndarray], dict[tuple[int, int], PixelFormat], float]:
    """Compute the stored values of each slice, shape (rows, columns), with its format; and find the TR in seconds."""
    stored, formats, seconds = {}, {}, 0.0
    for file, wanted in details.by_file().items():
        index = {place: plane for plane, place in wanted.items()}
        for (t, z), plane, words in slices_of(details, file, wanted):
            layout = pixel_format(plane.header)
            key = (file, index[t, z])
            stored[key] = stored_values(replaced(words, layout, array[t, :, :, z].T), layout)
            formats[key] = layout
            seconds = seconds or (number(plane.header, "RepetitionTime") or 0.0) / 1000
    return stored, formats, seconds


def _image(
    stacks: list[StackPlan],
    stored: dict[tuple[int, int], np.ndarray],
    formats: dict[tuple[int, int], PixelFormat],
    seconds: float,
) -> nib.Nifti1Image:
    """Make one NIfTI image of volumes that differ in time only."""
    keys = [key for stack in stacks for key in stack.slices]
    layouts = [formats[key] for key in keys]
    first = layouts[0]
    shared = len({(one.slope, one.intercept, one.signed) for one in layouts}) == 1
    planes = [stored[key] if shared else real_values(stored[key], formats[key]) for key in keys]
    # (time, slice, row, column) to (column, row from below, slice, time)
    shape = (len(stacks), len(keys) // len(stacks), *planes[0].shape)
    data = np.stack(planes).reshape(shape).transpose(3, 2, 1, 0)[:, ::-1]
    affine = stacks[0].affine @ np.array([[1, 0, 0, 0], [0, -1, 0, shape[2] - 1], [0, 0, 1, 0], [0, 0, 0, 1]])
    if shared:
        low, high = min(one.limits[0] for one in layouts), max(one.limits[1] for one in layouts)
        data = data.astype(np.min_scalar_type(low if low < 0 else high) if high > 32767 else np.int16)
    image = nib.Nifti1Image(np.ascontiguousarray(data[..., 0] if len(stacks) == 1 else data), affine)
    image.header.set_xyzt_units("mm", "sec")
    code = int(stacks[0].placed)  # 1: scanner coordinates, 0: unknown
    image.set_sform(affine, code)
    image.set_qform(affine, code)
    if shared:
        image.header.set_slope_inter(first.slope, first.intercept)
    if len(stacks) > 1 and seconds:
        image.header["pixdim"][4] = seconds
    image.header["descrip"] = b"denoised by mri-denoise"
    return image


def _groups(stacks: Sequence[StackPlan]) -> list[list[int]]:
    """Group the numbers of the volumes that go into one file."""
    groups: list[list[int]] = []
    for k, stack in enumerate(stacks):
        for group in groups:
            if _follows(stack, [stacks[other] for other in group]):
                group.append(k)
                break
        else:
            groups.append([k])
    return groups


def _follows(stack: StackPlan, others: Sequence[StackPlan]) -> bool:
    """Whether a volume is another time point of others: same contrast, size and place at another moment."""
    first = others[0]
    alike = stack.contrast == first.contrast and len(stack.slices) == len(first.slices)
    placed = stack.placed and first.placed
    same_place = alike and placed and np.allclose(stack.affine, first.affine, rtol=0, atol=_AFFINE_TOLERANCE)
    # frames of one file are told apart by their order
    told = all(stack.moment != one.moment or stack.slices[0][0] == one.slices[0][0] for one in others)
    return bool(same_place) and told


def _joined(cases: list[Case]) -> Case:
    """Join cases of one volume each into one case; their files follow one another."""
    if len(cases) == 1:
        return cases[0]
    stacks, shift = [], 0
    for case in cases:
        (stack,) = volume_of(case).stacks
        slices = tuple((file + shift, plane) for file, plane in stack.slices)
        stacks.append(dataclasses.replace(stack, slices=slices))
        shift += len(case.sources)
    details = dataclasses.replace(
        volume_of(cases[0]),
        paths=tuple(path for case in cases for path in case.sources),
        names=tuple(name for case in cases for name in volume_of(case).names),
        stacks=tuple(stacks),
        notes=tuple(dict.fromkeys(note for case in cases for note in case.notes)),
    )
    return dataclasses.replace(cases[0], sources=details.paths, details=details)
