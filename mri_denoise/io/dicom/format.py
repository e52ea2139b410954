"""DICOM as one of the formats of `mri_denoise.io.formats`, written as DICOM or as NIfTI."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import numpy as np

from mri_denoise.io.case import Case
from mri_denoise.io.dicom.layout import volume_of
from mri_denoise.io.dicom.read import read_volumes
from mri_denoise.io.dicom.to_nifti import write_nifti
from mri_denoise.io.dicom.write import write_series
from mri_denoise.io.files import NIFTI_ENDINGS
from mri_denoise.io.formats import VolumeReader, VolumeWriter
from mri_denoise.io.nifti import maps
from mri_denoise.io.whole import WholeReader, WholeWriter


def open_reader(case: Case) -> VolumeReader:
    """Open a case for reading; its files are opened by `take`."""
    shape = volume_of(case).array_shape
    return WholeReader(partial(read_volumes, case), count=shape[0], volume_voxels=math.prod(shape[1:]))


def open_writer(case: Case, destination: Path, *, keep_vendor_headers: bool = False) -> VolumeWriter:
    """Open a result for writing: NIfTI if the destination is named so, otherwise the folder of a derived series."""
    if destination.name.lower().endswith(NIFTI_ENDINGS):
        return WholeWriter(lambda array, derivation: write_nifti(case, array, destination))
    return WholeWriter(
        lambda array, derivation: write_series(
            case, array, destination, derivation, keep_vendor_headers=keep_vendor_headers
        )
    )


def open_map(case: Case, destination: Path, *, affine: np.ndarray, count: int) -> VolumeWriter:
    """Open a map for writing as NIfTI, in scanner coordinates where the header gives them."""
    placed = all(stack.placed for stack in volume_of(case).stacks)
    return maps.open_map(case, destination, affine=affine, count=count, code=int(placed))
