"""DICOM as one of the formats of `mri_denoise.io.formats`, written as DICOM or as NIfTI."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

from mri_denoise.io.case import Case
from mri_denoise.io.dicom import read, to_nifti, write
from mri_denoise.io.dicom.layout import volume_of
from mri_denoise.io.formats import VolumeReader, VolumeWriter, WholeReader, WholeWriter
from mri_denoise.io.nifti.maps import open_map

__all__ = ["open_map", "open_reader", "open_writer"]


def open_reader(case: Case) -> VolumeReader:
    """Open a case for reading; its files are opened by `take`."""
    shape = volume_of(case).array_shape
    return WholeReader(partial(read.read, case), count=shape[0], volume_voxels=math.prod(shape[1:]))


def open_writer(case: Case, destination: Path, *, keep_vendor_headers: bool = False) -> VolumeWriter:
    """Open a result for writing: NIfTI if the destination is named so, otherwise the folder of a derived series."""
    if destination.name.lower().endswith(to_nifti.NIFTI_ENDINGS):
        return WholeWriter(lambda array, derivation: to_nifti.write(case, array, destination))
    return WholeWriter(
        lambda array, derivation: write.write(
            case, array, destination, derivation, keep_vendor_headers=keep_vendor_headers
        )
    )
