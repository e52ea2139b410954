"""Attributes of a DICOM data set, read without trust: what is absent, empty or damaged gives an empty answer."""

from __future__ import annotations

import math
import re
import struct
import unicodedata
from datetime import timedelta, timezone, tzinfo
from typing import Any

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.tag import Tag
from pydicom.uid import UID, AllTransferSyntaxes, EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage

ENHANCED_MR = (EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage)
"""SOP classes whose instances describe their frames by functional groups."""
NO_UID = "no UID"
"""What the identity of a study or series without UID begins with."""
PARSE_ERRORS = (
    *(ValueError, TypeError, LookupError, AttributeError, NotImplementedError, RuntimeError, EOFError, OverflowError),
    *(struct.error, BytesLengthException, InvalidDicomError),
)
"""What pydicom and its decoders raise when they meet damaged data."""


def error_words(error: BaseException, longest: int = 120) -> str:
    r"""What an error says, in one line, without the traceback that pydicom puts into its messages.

    Examples:
        >>> error_words(ValueError("With tag (0008,0008) got exception: bad\nTraceback (most recent call last): ..."))
        'With tag (0008,0008) got exception: bad'
    """
    return " ".join(str(error).partition("Traceback (most recent")[0].split())[:longest]


def value(ds: Dataset, keyword: str) -> Any:
    """The value of an attribute, or None if it is absent, empty or cannot be parsed."""
    try:
        found = ds.get(keyword)
    except (*PARSE_ERRORS, OSError):
        return None
    return None if found is None or found == "" else found


def numbers(ds: Dataset, keyword: str) -> tuple[float, ...]:
    r"""The values of a numeric attribute; empty if it is absent or not numeric, as ``NaN`` is.

    Decimal strings are read whatever VR they were written with (GE writes Pixel Spacing as UT, for instance): VRs of
    long text have no multiple values, and unknown VRs are bytes.

    Examples:
        >>> ds = Dataset()
        >>> ds.add_new("PixelSpacing", "UT", "0.9375\\0.9375 ")
        >>> numbers(ds, "PixelSpacing")
        (0.9375, 0.9375)
    """
    found = value(ds, keyword)
    if isinstance(found, bytes) and dictionary_VR(keyword) in ("DS", "IS"):
        found = found.decode("ascii", "replace")
    return _floats(found)


def number(ds: Dataset, keyword: str) -> float | None:
    """The first value of a numeric attribute, or None.

    Examples:
        >>> ds = Dataset()
        >>> ds.EchoTime = "4.6"
        >>> number(ds, "EchoTime"), number(ds, "FlipAngle")
        (4.6, None)
    """
    return next(iter(numbers(ds, keyword)), None)


def has_value(ds: Dataset, keyword: str) -> bool:
    """Whether an attribute is there and not empty, even if its value cannot be parsed."""
    found = getattr(ds.get_item(Tag(keyword)), "value", None)
    return bool(found.strip(b" \0") if isinstance(found, bytes) else found is not None and str(found).strip())


def text(ds: Dataset, keyword: str) -> str:
    """The value of an attribute as text without outer spaces; empty if it is absent."""
    found = value(ds, keyword)
    return "" if found is None else str(found).strip()


def private(ds: Dataset, group: int, creator: str, element: int) -> Any:
    """The value of a private attribute, found through its private creator (PS3.5 7.8.1), or None.

    Args:
        ds: the data set.
        group: an odd group number.
        creator: value of the Private Creator element, which reserves a block.
        element: the element's last byte within the block, 0x00 to 0xFF.
    """
    try:
        return ds.private_block(group, creator)[element].value
    except (*PARSE_ERRORS, OSError):
        return None


def private_numbers(ds: Dataset, group: int, creator: str, element: int) -> tuple[float, ...]:
    """The values of a numeric private attribute; empty if it is absent or stored without a known VR."""
    return _floats(private(ds, group, creator, element))


def image_types(ds: Dataset) -> tuple[str, ...]:
    """Image Type (0008,0008) in capitals; empty values are kept."""
    found = value(ds, "ImageType")
    if found is None:
        return ()
    return tuple(str(part).strip().upper() for part in ([found] if isinstance(found, str) else found))


def flat_copy(ds: Dataset) -> Dataset:
    """A data set of the same elements, as they are in the file; what is converted or changed in it stays its own."""
    copy = Dataset(dict(ds.items()))
    copy.file_meta = getattr(ds, "file_meta", FileMetaDataset())
    return copy


def is_enhanced(ds: Dataset) -> bool:
    """Whether an object describes its frames by functional groups (PS3.3 C.7.6.16)."""
    return sop_class(ds) in ENHANCED_MR


def is_mosaic(ds: Dataset) -> bool:
    """Whether a classic image is a Siemens mosaic, whose tiles are slices."""
    return not is_enhanced(ds) and "MOSAIC" in image_types(ds)


def sop_class(ds: Dataset) -> UID:
    """SOP Class UID of the data set, or of the file meta information if the data set has none."""
    return UID(text(ds, "SOPClassUID") or text(_file_meta(ds), "MediaStorageSOPClassUID"))


def instance_uid(ds: Dataset) -> str:
    """SOP Instance UID of the data set, or of the file meta information if the data set has none."""
    return text(ds, "SOPInstanceUID") or text(_file_meta(ds), "MediaStorageSOPInstanceUID")


def series_identity(ds: Dataset) -> tuple[str, str, str]:
    """Patient, study and series of an image, as texts that are equal for the images of one series.

    A patient is known by Patient ID; the name, which archives spell anew, counts only where there is none, in its plain
    letters, and the birth date where there is neither. A series without Series Instance UID is known by number and
    description (`NO_UID` and these).
    """
    letters = unicodedata.normalize("NFKD", text(ds, "PatientName").partition("=")[0])
    name = "".join(filter(str.isalnum, letters.casefold()))
    patient = text(ds, "PatientID").casefold() or name or text(ds, "PatientBirthDate")
    study = _uid_text(ds, "StudyInstanceUID") or _without_uid(ds, "StudyID", "StudyDate", "AccessionNumber")
    series = _uid_text(ds, "SeriesInstanceUID") or _without_uid(ds, "SeriesNumber", "SeriesDescription", "ProtocolName")
    return patient, study, series


def _uid_text(ds: Dataset, keyword: str) -> str:
    return text(ds, keyword).strip(" \0")


def _without_uid(ds: Dataset, *keywords: str) -> str:
    return "\0".join([NO_UID, *(text(ds, keyword) for keyword in keywords)])


def time_zone(ds: Dataset) -> tzinfo | None:
    """The zone of a data set's dates and times (Timezone Offset From UTC, PS3.3 C.12.1.1.8); None if it names none.

    Examples:
        >>> ds = Dataset()
        >>> ds.TimezoneOffsetFromUTC = "-0330"
        >>> print(time_zone(ds))
        UTC-03:30
    """
    match = re.fullmatch(r"([+-])(\d\d)(\d\d)", text(ds, "TimezoneOffsetFromUTC"))
    if not match or int(match[2]) > 14 or int(match[3]) > 59:
        return None
    offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
    return timezone(-offset if match[1] == "-" else offset)


def transfer_syntax(ds: Dataset) -> UID | None:
    """The transfer syntax named in the file meta information; None if it is absent or not a known transfer syntax."""
    uid = UID(text(_file_meta(ds), "TransferSyntaxUID"))
    return uid if uid in AllTransferSyntaxes else None


def _file_meta(ds: Dataset) -> Dataset:
    return getattr(ds, "file_meta", Dataset())


def _floats(found: Any) -> tuple[float, ...]:
    if found is None or isinstance(found, bytes):
        return ()
    if isinstance(found, str):
        found = found.rstrip(" \0").split("\\")
    try:
        parts = tuple(map(float, [found] if isinstance(found, (int, float)) else found))
    except (TypeError, ValueError, OverflowError):
        return ()
    return parts if all(map(math.isfinite, parts)) else ()
