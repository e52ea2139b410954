"""Decode JPEG, JPEG-LS and JPEG 2000 with libraries in C and C++, in the process that calls.

`mri_denoise.io.dicom.decoder` does so in a process of its own, which damaged data may crash.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.utils import pixel_array
from pydicom.uid import JPEGExtended12Bit

from mri_denoise.io.dicom.codestream import contradiction, read_codestream
from mri_denoise.io.dicom.dataset import number, transfer_syntax


def decode_native(ds: Dataset, path: Path, frame: int) -> np.ndarray:
    """Decode one frame; refuse before that if the codestream contradicts the header.

    Args:
        ds: the data set as read from `path`, pixel data included.
        path: the file, for GDCM.
        frame: which, from 0.

    Returns:
        Integers, shape (rows, columns).

    Raises:
        ValueError: The data are damaged; it may be another of `mri_denoise.io.dicom.dataset.PARSE_ERRORS`.
    """
    rows, columns, allocated, stored = (
        int(number(ds, keyword) or 0) for keyword in ("Rows", "Columns", "BitsAllocated", "BitsStored")
    )
    frames = int(number(ds, "NumberOfFrames") or 1)
    codestream = read_codestream(get_frame(ds.PixelData, frame, number_of_frames=frames))
    if reason := contradiction(codestream, rows=rows, columns=columns, allocated=allocated):
        raise ValueError(reason)
    if transfer_syntax(ds) == JPEGExtended12Bit and stored > 8:
        whole: np.ndarray = _decode_gdcm(path, path.stat().st_mtime_ns)[frame]
        return whole
    return pixel_array(ds, index=frame, raw=True, correct_unused_bits=True)


@functools.lru_cache(maxsize=1)
def _decode_gdcm(path: Path, modified: int) -> np.ndarray:
    """Decode 12-bit JPEG, which the plugins of pydicom refuse, with GDCM itself, all frames at once."""
    import gdcm

    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    if not reader.Read():
        raise ValueError("GDCM cannot read it")
    image = reader.GetImage()
    decoded = image.GetBuffer()
    if decoded is None:
        raise ValueError("GDCM cannot decode it")
    buffer = decoded.encode("utf-8", "surrogateescape")
    kind = "i" if image.GetPixelFormat().GetPixelRepresentation() else "u"
    bits = image.GetPixelFormat().GetBitsAllocated()
    columns, rows = image.GetDimension(0), image.GetDimension(1)
    return np.frombuffer(buffer, dtype=f"<{kind}{bits // 8}").reshape(-1, rows, columns)
