"""From a DICOM file to what sorting needs to know of it, without its pixel values."""

from __future__ import annotations

import math
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import MediaStorageDirectoryStorage

from mri_denoise.io.case import Skip
from mri_denoise.io.dicom_kind import (
    PARSE_ERRORS,
    image_types,
    number,
    numbers,
    private_numbers,
    sop_class,
    text,
    transfer_syntax,
    value,
    why_not,
)

_DEFER_BYTES = 4096
_UNDEFINED_LENGTH = 0xFFFFFFFF
_PIXEL_DATA = 0x7FE00010
# b-value and direction in the vendors' private attributes, after their DICOM conformance statements.
_PRIVATE_DIFFUSION = (
    ((0x0019, "SIEMENS MR HEADER", 0x0C), (0x0019, "SIEMENS MR HEADER", (0x0E,))),
    ((0x0043, "GEMS_PARM_01", 0x39), (0x0019, "GEMS_ACQU_01", (0xBB, 0xBC, 0xBD))),
    ((0x2001, "Philips Imaging DD 001", 0x03), (0x2005, "Philips MR Imaging DD 001", (0xB0, 0xB1, 0xB2))),
    ((0x0065, "Image Private Header", 0x09), (0x0065, "Image Private Header", (0x37,))),
)


@dataclass(frozen=True)
class Instance:
    """One classic MR image, as sorting sees it.

    Args:
        path: the file.
        sop_uid: SOP Instance UID.
        series: patient, study and series: images that differ here never come together.
        series_number: Series Number, or None.
        description: Series Description, or the protocol's name.
        shape: rows, columns.
        divider: what always divides a series into volumes (size, spacing, echo, image type, diffusion, time point ...).
        orientation: Image Orientation (Patient): direction cosines of a row, then of a column; or None.
        position: Image Position (Patient): centre of the first pixel, mm, LPS; or None.
        spacing: Pixel Spacing in mm: between rows, between columns; or None.
        thickness: the larger of Slice Thickness and Spacing Between Slices in mm, or None.
        number: Instance Number, or None.
        acquisition: Acquisition Number, or None.
        timing: what may tell repeated positions apart: inversion time, flip angle, trigger time, acquisition time.
    """

    path: Path
    sop_uid: str
    series: tuple[str, ...]
    series_number: int | None
    description: str
    shape: tuple[int, int]
    divider: tuple[object, ...]
    orientation: tuple[float, ...] | None
    position: tuple[float, ...] | None
    spacing: tuple[float, float] | None
    thickness: float | None
    number: int | None
    acquisition: int | None
    timing: tuple[object, ...]


def is_dicom(path: Path) -> bool:
    """Whether a file looks like DICOM by its first bytes: ``DICM`` after the preamble, or a data set without one."""
    try:
        with path.open("rb") as file:
            start = file.read(132)
    except OSError:
        return False
    if start[128:132] == b"DICM":
        return True
    if len(start) < 8:
        return False
    # A data set without preamble starts with group 0002 or 0008, in either byte order, and a small element number.
    return any(
        group in (0x0002, 0x0008) and element < 0x0100 and start[4:6] != b"\0\0" or (group, element) == (0x0008, 0x0005)
        for group, element in (struct.unpack("<HH", start[:4]), struct.unpack(">HH", start[:4]))
    )


def read_header(path: Path) -> Dataset:
    """Read a header, pixel values left in the file.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no DICOM file, or damaged.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return pydicom.dcmread(str(path), defer_size=_DEFER_BYTES, force=True)
        except PARSE_ERRORS as error:
            raise ValueError(str(error)) from error


def read_instance(path: Path) -> Instance | Skip | None:
    """Read one file's header.

    Returns:
        The instance; or why the file is left alone; or None for a DICOMDIR, which is only an index of other files.
    """
    try:
        if not path.stat().st_size:
            return Skip(path, "empty file", damaged=True)
        if not is_dicom(path):
            return Skip(path, "not a DICOM file" if _readable(path) else "no permission to read it")
        ds = read_header(path)
    except OSError as error:
        return Skip(path, f"cannot be read: {error.strerror or error}", damaged=True)
    except ValueError as error:
        return Skip(path, f"damaged or truncated DICOM file: {' '.join(str(error).split())[:120]}", damaged=True)
    if sop_class(ds) == MediaStorageDirectoryStorage or "DirectoryRecordSequence" in ds:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reason = why_not(ds)
        if reason:
            return Skip(path, reason)
        missing = _pixels_missing(ds, path)
        return Skip(path, missing, damaged=True) if missing else _instance(ds, path)


def _readable(path: Path) -> bool:
    try:
        with path.open("rb"):
            return True
    except OSError:
        return False


def _pixels_missing(ds: Dataset, path: Path) -> str | None:
    """Why the pixel data cannot be whole, judged by their length in the file."""
    if not _sop_uid(ds):
        return "no SOP Instance UID: the source could not be referred to"
    if _PIXEL_DATA not in ds:
        return "no pixel data, or the file is truncated before they end"
    element = ds.get_item(_PIXEL_DATA, keep_deferred=True)
    syntax = transfer_syntax(ds)
    length = getattr(element, "length", _UNDEFINED_LENGTH)
    if length == _UNDEFINED_LENGTH or (syntax is not None and syntax.is_encapsulated):
        return None
    expected = int((number(ds, "Rows") or 0) * (number(ds, "Columns") or 0) * (number(ds, "BitsAllocated") or 0) / 8)
    start = getattr(element, "value_tell", 0)
    in_file = max(0, path.stat().st_size - start) if syntax is None or not syntax.is_deflated else length
    available = min(length, in_file)
    if available < expected:
        return f"truncated: {available} of {expected} bytes of pixel data"
    return None


def _sop_uid(ds: Dataset) -> str:
    return text(ds, "SOPInstanceUID") or text(getattr(ds, "file_meta", Dataset()), "MediaStorageSOPInstanceUID")


def _instance(ds: Dataset, path: Path) -> Instance:
    spacing = numbers(ds, "PixelSpacing")
    thickness = [n for n in (number(ds, "SliceThickness"), number(ds, "SpacingBetweenSlices")) if n]
    patient = (text(ds, "PatientID"), text(ds, "PatientName"), text(ds, "PatientBirthDate"))
    timing = ("InversionTime", "FlipAngle", "RepetitionTime", "TriggerTime", "AcquisitionDateTime", "AcquisitionTime")
    return Instance(
        path=path,
        sop_uid=_sop_uid(ds),
        series=(*patient, text(ds, "StudyInstanceUID"), text(ds, "SeriesInstanceUID")),
        series_number=_whole(ds, "SeriesNumber"),
        description=text(ds, "SeriesDescription") or text(ds, "ProtocolName"),
        shape=(int(number(ds, "Rows") or 0), int(number(ds, "Columns") or 0)),
        divider=_divider(ds),
        orientation=_finite(numbers(ds, "ImageOrientationPatient"), 6),
        position=_finite(numbers(ds, "ImagePositionPatient"), 3),
        spacing=(spacing[0], spacing[1]) if len(spacing) == 2 and min(spacing) > 0 else None,
        thickness=max(map(abs, thickness)) if thickness else None,
        number=_whole(ds, "InstanceNumber"),
        acquisition=_whole(ds, "AcquisitionNumber"),
        timing=tuple(text(ds, keyword) for keyword in timing),
    )


def _divider(ds: Dataset) -> tuple[object, ...]:
    """Attributes by which the images of a series are always divided."""
    numeric = ("Rows", "Columns", "BitsStored", "PixelRepresentation", "EchoTime", "EchoNumbers", "EffectiveEchoTime")
    more = ("TemporalPositionIdentifier", "TemporalPositionIndex", "PixelSpacing")
    parts: list[object] = [tuple(round(n, 4) for n in numbers(ds, keyword)) for keyword in (*numeric, *more)]
    parts += [image_types(ds), text(ds, "ComplexImageComponent"), text(ds, "RescaleType")]
    # Siemens scanners without public diffusion attributes put b-value and direction into the name: ep_b1000#12.
    parts.append(text(ds, "SequenceName") if "ep_b" in text(ds, "SequenceName") else "")
    # GE writes magnitude images and field maps into one series: image type, and a number of the kind of image.
    parts += [private_numbers(ds, 0x0043, "GEMS_PARM_01", element)[:1] for element in (0x2F, 0x30)]
    return (*parts, _diffusion(ds))


def _diffusion(ds: Dataset) -> tuple[object, ...]:
    """b-value in s/mm2 and direction, from the standard attributes or the vendors' private ones; empty if neither."""
    gradient = value(ds, "DiffusionGradientDirectionSequence")
    direction = numbers(gradient[0] if gradient else ds, "DiffusionGradientOrientation")
    b_value = number(ds, "DiffusionBValue")
    for (group, creator, element), (other, owner, elements) in _PRIVATE_DIFFUSION:
        if b_value is not None:
            break
        b_value = next(iter(private_numbers(ds, group, creator, element)), None)
        direction = tuple(part for one in elements for part in private_numbers(ds, other, owner, one))
    if b_value is None:
        return ()
    b = round(b_value % 1e9)  # GE adds 10^9 to the b-values of some acquisitions.
    return (b, tuple(round(part, 3) + 0.0 for part in direction) if b else ())


def _finite(found: tuple[float, ...], count: int) -> tuple[float, ...] | None:
    return found if len(found) == count and all(map(math.isfinite, found)) else None


def _whole(ds: Dataset, keyword: str) -> int | None:
    found = number(ds, keyword)
    return None if found is None or not math.isfinite(found) else int(found)
