"""Find pixels whose values need more bits than the header says are stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from mri_denoise.io.dicom.dataset import number, transfer_syntax

_PIXEL_DATA = 0x7FE00010


def upper_bits(ds: Dataset, path: Path) -> tuple[str, bool]:
    """Say that pixels have bits above Bits Stored that no overlay explains, and whether they belong to the values.

    Such bits may hold an old overlay or junk, which is masked, or a header that counts too few bits, so that masking
    wraps the values. The image is smoother with bits that belong to the values, as a value that wraps makes an edge;
    where it is rougher, they may be either. Compressed pixels are looked at when they are decoded; others only where
    the header does not give their range (Smallest and Largest Image Pixel Value).

    Args:
        ds: the header, from `mri_denoise.io.dicom.open.read_header`.
        path: its file.

    Returns:
        What is unusual, in a few words, or nothing; and whether the values certainly need these bits.
    """
    allocated, stored = int(number(ds, "BitsAllocated") or 0), int(number(ds, "BitsStored") or 0)
    if allocated not in (16, 32) or not 0 < stored < allocated or _overlay_in_pixels(ds, stored):
        return "", False
    signed = bool(number(ds, "PixelRepresentation"))
    low, high = _limits(stored, signed)
    range_ = [number(ds, keyword) for keyword in ("SmallestImagePixelValue", "LargestImagePixelValue")]
    if all(edge is not None and low <= edge <= high for edge in range_):
        return "", False  # without a look at the pixels of a whole study
    words = _words(ds, path, allocated)
    if words is None or not words.size:
        return "", False
    frames = words.reshape(-1, int(number(ds, "Rows") or 1), int(number(ds, "Columns") or 1))
    return beyond_stored(frames, stored, signed=signed)


def beyond_stored(frames: np.ndarray, stored: int, *, signed: bool) -> tuple[str, bool]:
    """Say that words of pixel data have bits above those stored, and whether these belong to the values.

    Args:
        frames: unsigned integers, shape (frames, rows, columns).
        stored: Bits Stored.
        signed: whether values are in two's complement.

    Returns:
        As `upper_bits`.
    """
    low, high = _limits(stored, signed)
    values = frames.view(frames.dtype.str.replace("u", "i")) if signed else frames
    if values.min() >= low and values.max() <= high:
        return "", False
    wide = values.astype(np.int64)
    masked = wide & ((1 << stored) - 1)
    if signed:
        masked -= (masked >> stored - 1) << stored
    found = f"{values.min()} to {values.max()}, more than the {stored} bits stored of the header can hold"
    if _roughness(wide) < _roughness(masked):
        return f"values of {found}: export it again", True
    return f"pixels of {found}: the upper bits are taken for an overlay and kept aside", False


def _limits(stored: int, signed: bool) -> tuple[int, int]:
    """Smallest and largest word that has no bits above those stored but for a sign, which need not be extended."""
    return (-(1 << stored - 1) if signed else 0), (1 << stored) - 1


def _overlay_in_pixels(ds: Dataset, stored: int) -> bool:
    """Whether a (retired) overlay lies in bits of the pixels: Overlay Bit Position (60xx,0102), PS3.3 C.9.2."""
    positions = [tag for tag in ds.keys() if tag.group & 0xFF00 == 0x6000 and tag.element == 0x0102]
    return any(isinstance(found := ds[tag].value, int) and found >= stored for tag in positions)


def _words(ds: Dataset, path: Path, allocated: int) -> np.ndarray | None:
    """The words of uncompressed pixel data, left in the file; None if they cannot be had like that."""
    syntax = transfer_syntax(ds)
    if syntax is not None and syntax.is_encapsulated:
        return None
    element = ds.get_item(_PIXEL_DATA, keep_deferred=True)
    pixels = (number(ds, "Rows") or 0) * (number(ds, "Columns") or 0) * (number(ds, "NumberOfFrames") or 1)
    order = "<" if ds.original_encoding[1] else ">"
    dtype = np.dtype(f"{order}u{allocated // 8}")
    if isinstance(element.value, bytes):
        return np.frombuffer(element.value, dtype, count=int(pixels))
    start = getattr(element, "value_tell", None)
    return None if not start else np.memmap(path, dtype, "r", offset=start, shape=(int(pixels),))


def _roughness(frames: np.ndarray) -> int:
    """The sum of differences between neighbouring pixels."""
    return int(np.abs(np.diff(frames, axis=-1)).sum() + np.abs(np.diff(frames, axis=-2)).sum())
