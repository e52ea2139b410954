"""Read the pixels of DICOM volumes, with their geometry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from mri_denoise.errors import InputError
from mri_denoise.io.case import Case
from mri_denoise.io.dicom.dataset import PARSE_ERRORS, error_words
from mri_denoise.io.dicom.layout import DicomVolume, volume_of
from mri_denoise.io.dicom.pixels import decode, open_image, pixel_format, real_values, stored_values
from mri_denoise.io.dicom.planes import Plane, planes
from mri_denoise.io.files import reading
from mri_denoise.volume import Volume


def read_volumes(case: Case) -> Volume:
    """Read the volumes of a case.

    Args:
        case: from `mri_denoise.io.dicom.discover.discover`.

    Returns:
        Float32 (volumes, columns, rows, slices) in real-world units (Rescale Slope and Intercept of each slice,
        PS3.3 C.11.1), the affine to RAS+ mm without any flip of the pixels, slices along the last axis.

    Raises:
        InputError: A file cannot be read or decoded, or has changed since it was discovered.
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
        file: index of the file in `DicomVolume.paths`.
        wanted: from `DicomVolume.by_file`.

    Yields:
        Volume and slice in the array, the plane, and its words (unsigned integers, shape (rows, columns)).

    Raises:
        InputError: The file cannot be read or decoded, or has changed since it was discovered.
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
    """List the planes of a file that was discovered before.

    Raises:
        InputError: The file has changed since, or is damaged.
    """
    try:
        return planes(ds)
    except PARSE_ERRORS as error:
        raise InputError(f"{path}: {error_words(error, 160)}; start again, or repair the file") from error
