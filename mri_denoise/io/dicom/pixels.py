"""Decode the stored values of DICOM slices; convert them to real-world values and back (PS3.3 C.7.6.3.1, C.11.1)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGExtended12Bit,
    RLELossless,
)

from mri_denoise.errors import InputError
from mri_denoise.io.dicom.dataset import (
    PARSE_ERRORS,
    error_words,
    instance_uid,
    number,
    sop_class,
    text,
    transfer_syntax,
)
from mri_denoise.io.dicom.decoder import decode_apart
from mri_denoise.io.dicom.open import parse_file
from mri_denoise.io.dicom.stored_bits import beyond_stored


@dataclass(frozen=True, kw_only=True)
class PixelFormat:
    """How to interpret the stored values of a slice.

    Args:
        shape: rows, columns.
        allocated: bits a pixel takes up: 8, 16 or 32.
        stored: how many of these bits hold the value.
        signed: whether values are in two's complement.
        slope: real value per stored value.
        intercept: real value of a stored 0.
        padding: the smallest and largest stored value that mark pixels outside the image, or None.
    """

    shape: tuple[int, int]
    allocated: int
    stored: int
    signed: bool
    slope: float
    intercept: float
    padding: tuple[int, int] | None

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest value that can be stored."""
        return (-(1 << self.stored - 1), (1 << self.stored - 1) - 1) if self.signed else (0, (1 << self.stored) - 1)


def open_image(path: Path) -> Dataset:
    """Read a whole DICOM file, pixel data included.

    Raises:
        InputError: The file cannot be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ds = parse_file(path)
    except (*PARSE_ERRORS, OSError) as error:
        raise InputError(f"{path}: cannot be read as DICOM ({error_words(error)})") from error
    raw = next((one for one in ds.values() if isinstance(one, RawDataElement)), None)
    if raw is not None and raw.is_implicit_VR != ds.original_encoding[0]:
        # the file meta information is wrong, which pydicom sees, but believes again when it writes
        ds.set_original_encoding(raw.is_implicit_VR, raw.is_little_endian, ds.original_character_set)
    if not text(ds.file_meta, "TransferSyntaxUID"):
        implicit, little = ds.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return ds


def as_file(ds: Dataset) -> Dataset:
    """Give a bare data set, as ACR-NEMA and some archives keep it, the preamble and UIDs of a file (PS3.10 7.1).

    Args:
        ds: from `open_image`; changed in place, where it lacks them.

    Returns:
        The data set.
    """
    ds.preamble = ds.preamble or bytes(128)
    for keyword, found in (
        ("MediaStorageSOPClassUID", sop_class(ds)),
        ("MediaStorageSOPInstanceUID", instance_uid(ds)),
    ):
        if not text(ds.file_meta, keyword):
            setattr(ds.file_meta, keyword, found)
    return ds


def pixel_format(ds: Dataset) -> PixelFormat:
    """Read the pixel format from a header; a slope that is absent or zero counts as 1."""
    signed = bool(number(ds, "PixelRepresentation"))
    allocated = int(number(ds, "BitsAllocated") or 16)
    stored = int(number(ds, "BitsStored") or allocated)
    edges = [number(ds, "PixelPaddingValue"), number(ds, "PixelPaddingRangeLimit")]
    # An explicit VR of the wrong sign (US for SS) is common: wrap into the range of the pixels.
    low = -(1 << stored - 1) if signed else 0
    padding = [int(edge - low) % (1 << stored) + low for edge in edges if edge is not None and edges[0] is not None]
    return PixelFormat(
        shape=(int(number(ds, "Rows") or 0), int(number(ds, "Columns") or 0)),
        allocated=allocated,
        stored=stored,
        signed=signed,
        slope=number(ds, "RescaleSlope") or 1.0,
        intercept=number(ds, "RescaleIntercept") or 0.0,
        padding=(min(padding), max(padding)) if padding else None,
    )


def decode(ds: Dataset, path: Path, frame: int = 0) -> np.ndarray:
    """Decode the pixel data of one frame.

    Args:
        ds: the data set as read from `path`, pixel data included.
        path: the file, for messages and for the decoder.
        frame: which, from 0.

    Returns:
        The words of the pixel data, unsigned integers of `BitsAllocated`, shape (rows, columns). Bits above
        `BitsStored` are as in the file where it is uncompressed.

    Raises:
        InputError: The pixel data are damaged, truncated, or do not agree with the header.
    """
    layout = pixel_format(ds)
    syntax = transfer_syntax(ds)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if syntax is not None and syntax.is_encapsulated and syntax != RLELossless:
                pixels = _decode_apart(ds, path, frame, layout)
            else:
                # pydicom's own RLE decoder reports damaged data; that of pylibjpeg is quicker but panics. In
                # uncompressed data, bits above the stored ones may hold something else, which `replaced` keeps.
                plugin = "pydicom" if syntax == RLELossless else ""
                pixels = pixel_array(ds, index=frame, raw=True, correct_unused_bits=False, decoding_plugin=plugin)
    except (*PARSE_ERRORS, OSError) as error:
        why = error_words(error, 160)
        raise InputError(f"{path}: pixel data cannot be decoded ({why}); export the file again") from error
    if pixels.shape != layout.shape:
        raise InputError(f"{path}: pixel data decode to {pixels.shape}, the header says {layout.shape}; export again")
    if pixels.dtype.itemsize * 8 > layout.allocated:
        low, high = layout.limits
        if pixels.min() < low or pixels.max() > high:
            raise InputError(f"{path}: pixel data exceed the {layout.stored} bits of the header; export it again")
    signed = np.dtype(f"i{layout.allocated // 8}")
    narrow = pixels.astype(signed if pixels.dtype.kind == "i" else f"u{layout.allocated // 8}")
    words: np.ndarray = narrow.view(f"u{layout.allocated // 8}")
    if syntax is None or not syntax.is_encapsulated:
        return words
    found, wrong = beyond_stored(words[np.newaxis], layout.stored, signed=layout.signed)
    if wrong:
        raise InputError(f"{path}: {found}")
    # overlays in the pixels are not allowed where these are compressed (PS3.5 8.1.2), so that other bits are junk
    return stored_values(words, layout).astype(words.dtype) if found else words


def _decode_apart(ds: Dataset, path: Path, frame: int, layout: PixelFormat) -> np.ndarray:
    """Decode JPEG, JPEG-LS or JPEG 2000 in another process. 12-bit JPEG decodes all frames of a file at once."""
    at_once = int(number(ds, "NumberOfFrames") or 1) if transfer_syntax(ds) == JPEGExtended12Bit else 1
    pixels = layout.shape[0] * layout.shape[1] * at_once
    return decode_apart(path, frame, pixels=pixels, itemsize=layout.allocated // 8)


def stored_values(words: np.ndarray, layout: PixelFormat) -> np.ndarray:
    """Convert words of pixel data to stored values: int64, bits above the stored ones masked, sign extended."""
    values = words.astype(np.int64) & ((1 << layout.stored) - 1)
    if layout.signed:
        values -= (values >> (layout.stored - 1)) << layout.stored
    return values


def real_values(stored: np.ndarray, layout: PixelFormat) -> np.ndarray:
    """Convert stored to real-world values: ``stored * slope + intercept``, float32."""
    return (stored * layout.slope + layout.intercept).astype(np.float32)


def replaced(words: np.ndarray, layout: PixelFormat, array: np.ndarray) -> np.ndarray:
    """Put new real-world values into the words of pixel data.

    A word is copied where the value is the one that was read or is not finite, and where the source marks padding,
    unless it marks the whole slice.
    Elsewhere it is ``round((value - intercept) / slope)``, clipped to the stored bits. Bits above those are kept if the
    source uses them for something else (an overlay, junk); otherwise they extend the sign.

    Args:
        words: from `decode`, shape (rows, columns).
        layout: the format of the slice.
        array: new values, float32, shape (rows, columns), in the slice's real-world units.

    Returns:
        Words like `words`.
    """
    stored = stored_values(words, layout)
    keep = (array == real_values(stored, layout)) | ~np.isfinite(array)
    if layout.padding is not None:
        outside = (stored >= layout.padding[0]) & (stored <= layout.padding[1])
        if not outside.all():  # else the range is that of the image (a wrong limit), or the slice is blank
            keep |= outside
    scaled = (np.where(np.isfinite(array), array, 0.0).astype(np.float64) - layout.intercept) / layout.slope
    new = np.clip(np.rint(scaled), *layout.limits).astype(np.int64)
    canonical = np.array_equal(stored.astype(words.dtype), words)
    if not canonical:
        mask = (1 << layout.stored) - 1
        new = (new & mask) | (words.astype(np.int64) & ~mask)
    return np.where(keep, words, new.astype(words.dtype))
