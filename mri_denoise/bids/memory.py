"""How much memory a scan needs, by its header alone."""

from __future__ import annotations

from mri_denoise.errors import InputError
from mri_denoise.io.case import Case
from mri_denoise.io.chunks import CHUNK_VOXELS
from mri_denoise.io.reading import open_reader

_PROGRAM_MB = 600
_COPIES = 9  # of the voxels as float32: five at work, up to four of the next image and the one that is written
_SUMS = 10  # more, for the average over mirror images: two sums in float64, a mirror image and its steps
_FLOAT_BYTES = 4


def megabytes(case: Case, *, tta: bool = False) -> int:
    """Estimate what denoising a case takes, the program included.

    Args:
        case: its file is opened for the header.
        tta: whether mirror images are averaged.

    Returns:
        megabytes; those of the program alone if the header cannot be read (reading the image says why).
    """
    try:
        with open_reader(case) as reader:
            voxels = max(reader.volume_voxels, min(CHUNK_VOXELS, reader.volume_voxels * reader.count))
    except InputError:
        voxels = 0
    return _PROGRAM_MB + -(-voxels * (_COPIES + _SUMS * tta) * _FLOAT_BYTES // 10**6)
