"""Write a result with the headers of its source, or a map beside it, whatever the format.

Images are written by :mod:`mri_denoise.pipeline` and :mod:`mri_denoise.simulation` alone: an import contract in
``pyproject.toml`` protects this module.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mri_denoise.io.case import Case, Derivation
from mri_denoise.io.formats import VolumeWriter, format_of

if TYPE_CHECKING:
    import numpy as np


def open_writer(case: Case, destination: Path, *, keep_vendor_headers: bool = False) -> VolumeWriter:
    """Open the result of a case to write it some volumes at a time, with the headers and stored type of the source.

    Args:
        case: the case that was read.
        destination: a file; for DICOM the folder of the derived series, or a file whose name ends in ``.nii`` or
            ``.nii.gz``.
        keep_vendor_headers: whether DICOM keeps private blocks that describe the old pixels (Siemens CSA).

    Returns:
        See `VolumeWriter`.

    Raises:
        InputError: The source cannot be read any more.
        OutputError: The destination is an input, names another format, or cannot be written.
    """
    return format_of(case).open_writer(case, destination, keep_vendor_headers=keep_vendor_headers)


def open_map(case: Case, destination: Path, *, affine: np.ndarray, count: int) -> VolumeWriter:
    """Open a map that belongs to a case, such as the removed noise, to write it as float32.

    Args:
        case: the case whose space, units and times the map shares.
        destination: a file named ``.nii`` or ``.nii.gz``; ``.tif`` for a picture. `Case.companion` names it.
        affine: 4 x 4, voxel index to RAS+ mm.
        count: how many volumes will be written.

    Returns:
        See `VolumeWriter`.

    Raises:
        OutputError: The destination is an input, names another format, or cannot be written.
    """
    return format_of(case).open_map(case, destination, affine=affine, count=count)


def write(
    case: Case, array: np.ndarray, destination: Path, derivation: Derivation, *, keep_vendor_headers: bool = False
) -> list[Path]:
    """Write a result with the headers and stored type of the source.

    Args:
        case: the case that was read.
        array: float32 (T, X, Y, Z), as `mri_denoise.io.reading.read` gave it.
        destination: as for `open_writer`.
        derivation: how the result was made; DICOM records it.
        keep_vendor_headers: as for `open_writer`.

    Returns:
        The files written.

    Raises:
        InputError: The source cannot be read any more.
        OutputError: The result cannot be written, or is not finite where the source is.
    """
    writer = open_writer(case, destination, keep_vendor_headers=keep_vendor_headers)
    try:
        writer.put(array)
        return writer.finish(derivation)
    except BaseException:
        writer.abandon()
        raise
