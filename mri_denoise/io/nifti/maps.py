"""Write maps beside a result, such as the removed noise: float32, in the grid of the image they belong to."""

from __future__ import annotations

import math
from collections.abc import Generator
from pathlib import Path

import nibabel as nib
import numpy as np

from mri_denoise.errors import OutputError
from mri_denoise.io.case import Case
from mri_denoise.io.files import write_beside
from mri_denoise.io.nifti.layout import nifti_header
from mri_denoise.io.packed import packing
from mri_denoise.io.stepped import SteppedWriter


def open_map(case: Case, destination: Path, *, affine: np.ndarray, count: int, code: int = 2) -> SteppedWriter:
    """Open a map for writing as NIfTI; see `mri_denoise.io.writing.open_map`.

    `code` says what space the affine leads to (NIfTI sform_code) where the source is no NIfTI file: 0 unknown, 1 the
    scanner, 2 another image.
    """
    if not destination.name.lower().endswith((".nii", ".nii.gz")):
        raise OutputError(f"{destination}: this is written as NIfTI; name the output .nii or .nii.gz")
    return SteppedWriter(_map_steps(affine, code, case, destination, count))


def _map_steps(
    affine: np.ndarray, code: int, case: Case, path: Path, count: int
) -> Generator[None, np.ndarray | None, list[Path]]:
    """Take arrays, then None."""
    dtype: np.dtype | None = None
    with write_beside(path, case.sources) as partial, packing(partial) as out:
        while (array := (yield)) is not None:
            if dtype is None:
                shape = array.shape[1:] if count == 1 else (*array.shape[1:], count)
                header = _header(shape, affine, code, case.sources[0])
                header.set_slope_inter(1, 0)
                header.write_to(out)
                out.write(bytes(header.get_data_offset() - out.tell()))
                dtype = header.get_data_dtype()
            for volume in array:
                out.write(np.asarray(volume, dtype=dtype).tobytes(order="F"))
    return [path]


def _header(shape: tuple[int, ...], affine: np.ndarray, code: int, source: Path) -> nib.Nifti1Header:
    """A header with the axes, space, units and times of a NIfTI source, or with the affine for another source."""
    header = nifti_header(source)
    if header is None:
        header = nib.Nifti1Image(np.broadcast_to(np.float32(0), shape), affine).header
        header.set_sform(affine, code)
        return header
    if math.prod(header.get_data_shape()) != math.prod(shape):  # two dimensions, or more than four, stay as they are
        header.set_data_shape(shape)
    header.set_data_dtype(np.float32)
    header["cal_min"] = header["cal_max"] = 0  # display range of the source's values
    return header
