"""The record of lossy compression (DICOM PS3.3 C.7.6.1.1.5), which outlives the compression."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless

from mri_denoise.io.dicom.dataset import number, text

# JPEG 2000's syntax does not say whether a file of it is lossy; these are
_LOSSY = {
    JPEGBaseline8Bit: "ISO_10918_1",
    JPEGExtended12Bit: "ISO_10918_1",
    JPEGLSNearLossless: "ISO_14495_1",
}


def keep_lossy(ds: Dataset, source: Dataset) -> None:
    """Say in a data set that will be uncompressed that its source was lossy, where the source leaves it to its syntax.

    Args:
        ds: the derived data set, whose Lossy Image Compression is set, with method and ratio.
        source: the source, pixel data included.
    """
    method = _LOSSY.get(source.file_meta.TransferSyntaxUID)
    if method is None or text(source, "LossyImageCompression") == "01":
        return
    ds.LossyImageCompression = "01"
    pixels = (number(source, "Rows") or 0) * (number(source, "Columns") or 0) * (number(source, "NumberOfFrames") or 1)
    ratio = pixels * (number(source, "BitsAllocated") or 0) / 8 / max(len(source.PixelData), 1)
    ds.LossyImageCompressionRatio, ds.LossyImageCompressionMethod = f"{ratio:.3g}", method
