"""NIfTI, Analyze and MGH as one of the formats of `mri_denoise.io.formats`."""

from __future__ import annotations

from pathlib import Path

from mri_denoise.io.case import Case
from mri_denoise.io.formats import VolumeReader, VolumeWriter
from mri_denoise.io.nifti.image import SeriesReader, SeriesWriter
from mri_denoise.io.nifti.maps import open_map

__all__ = ["open_map", "open_reader", "open_writer"]


def open_reader(case: Case) -> VolumeReader:
    """Open a file, or header and image of a pair, for reading."""
    return SeriesReader(case)


def open_writer(case: Case, destination: Path, *, keep_vendor_headers: bool = False) -> VolumeWriter:
    """Open a result for writing; there are no vendor headers to drop, all bytes but the voxels' are kept."""
    return SeriesWriter(case, destination)
