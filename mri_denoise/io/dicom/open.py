"""Open DICOM files without trust: read their headers, and check whether their pixel data can be whole."""

from __future__ import annotations

import warnings
import zlib
from pathlib import Path

import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian

from mri_denoise.io.bounded import BoundedFile
from mri_denoise.io.dicom.dataset import PARSE_ERRORS, instance_uid, number, transfer_syntax
from mri_denoise.io.dicom.eligibility import MAX_BYTES

_DEFER_BYTES = 4096
_META_START = 144  # preamble, DICM, and the element that says how long the file meta information is
_PIECE = 1 << 16
_ALWAYS_INFLATED = 64 << 20
_DEFLATE_RATIO = 200
_UNDEFINED_LENGTH = 0xFFFFFFFF
_PIXEL_DATA = 0x7FE00010


def parse_file(path: Path, *, defer_size: int | None = None) -> Dataset:
    """Read a data set, with or without preamble.

    Args:
        path: the file.
        defer_size: values of more bytes than this are left in the file until they are asked for.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is damaged; it may be another of `mri_denoise.io.dicom.dataset.PARSE_ERRORS`.
    """
    with BoundedFile(path) as file:
        return pydicom.dcmread(file, defer_size=defer_size, force=True)


def read_header(path: Path) -> Dataset:
    """Read a header, and leave pixel values in the file.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not a DICOM file, or is damaged.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            # Values left in a deflated file could not be found again.
            defer = None if check_deflated(path) else _DEFER_BYTES
            ds = parse_file(path, defer_size=defer)
            if not len(ds):  # pydicom gives up all elements where one never ends
                raise ValueError("an element, perhaps the pixel data, has no end")
            _check_lengths(ds, path)
            return ds
        except (*PARSE_ERRORS, zlib.error) as error:
            raise ValueError(str(error)) from error


def _check_lengths(ds: Dataset, path: Path) -> None:
    """Check the values that were left in the file: pydicom reserves their length before it reads them.

    Raises:
        ValueError: A value before the pixel data is longer than the file.
    """
    size = path.stat().st_size
    for element in ds.values():
        if not isinstance(element, RawDataElement) or element.value is not None or element.tag >= _PIXEL_DATA:
            continue
        if element.length != _UNDEFINED_LENGTH and element.value_tell + element.length > size:
            raise ValueError(f"the element {element.tag} is longer than the file")


def check_deflated(path: Path) -> bool:
    """Tell whether a file is deflated; inflate it piece by piece first, before any reader does so as a whole.

    Raises:
        ValueError: Its size after inflation is more than a DICOM file may have, or than images have.
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        if DeflatedExplicitVRLittleEndian.encode() not in file.read(1024):
            return False
        meta = read_file_meta_info(str(path))
        if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
            return False
        file.seek(_META_START + int(meta.FileMetaInformationGroupLength))
        inflater, size, packed = zlib.decompressobj(-zlib.MAX_WBITS), 0, 0
        while (piece := inflater.unconsumed_tail or file.read(_PIECE)) and not inflater.eof:
            out = inflater.decompress(piece, _PIECE * 16)
            packed += len(piece) - len(inflater.unconsumed_tail)
            size += len(out)
            if size > MAX_BYTES or (size > _ALWAYS_INFLATED and size > _DEFLATE_RATIO * packed):
                raise ValueError(f"its deflated data swell to more than {size >> 20} MiB; no image does")
    return True


def readable(path: Path) -> bool:
    """Whether a file may be opened."""
    try:
        with path.open("rb"):
            return True
    except OSError:
        return False


def pixels_missing(ds: Dataset, path: Path) -> str | None:
    """Say why the pixel data cannot be whole, or what the header says they are, by their length in the file.

    Args:
        ds: the header, from `read_header`.
        path: its file.

    Returns:
        The reason in a few words, or None.
    """
    if not instance_uid(ds):
        return "no SOP Instance UID: the source could not be referred to"
    if _PIXEL_DATA not in ds:
        return "no pixel data, or the file is truncated before they end"
    element = ds.get_item(_PIXEL_DATA, keep_deferred=True)
    syntax = transfer_syntax(ds)
    length = getattr(element, "length", _UNDEFINED_LENGTH)
    if length == _UNDEFINED_LENGTH or (syntax is not None and syntax.is_encapsulated):
        return None
    frames = number(ds, "NumberOfFrames") or 1
    pixels = (number(ds, "Rows") or 0) * (number(ds, "Columns") or 0) * frames
    expected = int(pixels * (number(ds, "BitsAllocated") or 0) / 8)
    start = getattr(element, "value_tell", 0)
    in_file = max(0, path.stat().st_size - start) if syntax is None or not syntax.is_deflated else length
    available = min(length, in_file)
    if available < expected:
        return f"truncated: {available} of {expected} bytes of pixel data"
    if available >= 2 * expected > 2:  # more than padding: frames or bits that the header does not count
        return f"{available} bytes of pixel data, where the header says {expected}: damaged header"
    return None
