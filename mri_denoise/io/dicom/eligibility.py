"""Which DICOM objects are magnitude MR images, and why the others are left alone.

Each rule looks at the header alone. The defined terms are those of DICOM PS3.3 C.8.3.1.1.1 (Image Type of MR images),
C.8.13.3.1.1 and C.8.13.3.1.2 (Image Type and Complex Image Component of enhanced MR), and what the vendors write in
Image Type value 3 and on; private attributes are read through their private creator only.
"""

from __future__ import annotations

import re
import struct
from typing import Any

from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import (
    UID,
    AllTransferSyntaxes,
    EnhancedMRColorImageStorage,
    EnhancedMRImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    MRImageStorage,
    MRSpectroscopyStorage,
)

ENHANCED_MR = (EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage)
"""SOP classes whose instances describe their frames by functional groups."""
PARSE_ERRORS = (
    *(ValueError, TypeError, LookupError, AttributeError, NotImplementedError, RuntimeError, EOFError, OverflowError),
    *(struct.error, BytesLengthException, InvalidDicomError),
)
"""What pydicom and its decoders raise when they meet damaged data."""
MAX_PIXELS = 8192 * 8192
"""More pixels than this in one frame are taken for a damaged header, before memory is asked for."""
MAX_BYTES = 2**32 - 2
"""The longest pixel data that a DICOM file can hold uncompressed, as results are written."""

_NOT_MAGNITUDE = {
    "phase image": {"P", "PHASE", "PHASE MAP", "PHASE_MAP", "PHASE CONTRAST P", "VELOCITY", "VELOCITY MAP"},
    "real image": {"R", "REAL"},
    "imaginary image": {"I", "IMAGINARY"},
    "field map": {"FIELD_MAP", "FIELD MAP", "FIELDMAP", "B0 MAP", "B0_MAP", "B1 MAP", "B1_MAP"},
    "diffusion map": {
        *("ADC", "ADC_UNSPECIFIED", "EADC", "EXP", "FA", "RA", "TENSOR", "COLFA", "MD", "AD", "RD"),
        *("DIFFUSION_ANISO", "R_COEFFICIENT"),
    },
    "relaxation or quantitative map": {
        *("T1 MAP", "T1_MAP", "T2 MAP", "T2_MAP", "T2_STAR MAP", "T2_STAR_MAP", "T2STAR_MAP", "T2* MAP", "T2*_MAP"),
        *("R1 MAP", "R2 MAP", "R2_MAP", "R2_STAR MAP", "R2_STAR_MAP", "R2*_MAP", "PD MAP", "FAT FRACTION", "FF"),
        *("TEMPERATURE", "METABOLITE_MAP", "SNR_MAP"),
    },
    "perfusion map": {"RCBF", "RELCBF", "CBF", "RCBV", "RELCBV", "CBV", "MTT", "RELMTT", "TTP", "TMAX", "PBP", "GBP"},
    "statistical map": {"T_MAP", "T-MAP", "Z_MAP", "Z-MAP", "TTEST", "T-TEST", "GLM"},
    "localizer": {"LOCALIZER", "LOCALISER", "SCOUT"},
    "screenshot": {"SCREEN SAVE", "SCREENSAVE", "SCREENSHOT", "SCREEN CAPTURE", "PRESENTATION", "REPORT", "GSP"},
}
_LOCALIZER = re.compile(r"\b(locali[sz]er|scout|survey|3[- ]?plane loc\w*|smartbrain)\b", re.IGNORECASE)
_COMPUTED_MAP = re.compile(
    r"\b(e?ADC|FA|apparent diffusion|fractional aniso\w*|(T[12]\*?|R[12]\*?|B[01]) ?map|field ?map)\b", re.IGNORECASE
)
_PHYSICAL_UNITS = {"HZ", "RAD", "MRAD", "DEG", "MS", "S", "PPM", "1/S"}


def value(ds: Dataset, keyword: str) -> Any:
    """The value of an attribute, or None where it is absent, empty or cannot be parsed."""
    try:
        found = ds.get(keyword)
    except (*PARSE_ERRORS, OSError):
        return None
    return None if found is None or found == "" else found


def numbers(ds: Dataset, keyword: str) -> tuple[float, ...]:
    """The values of a numeric attribute; empty where it is absent or not numeric."""
    return _floats(value(ds, keyword))


def number(ds: Dataset, keyword: str) -> float | None:
    """The first value of a numeric attribute, or None."""
    return next(iter(numbers(ds, keyword)), None)


def text(ds: Dataset, keyword: str) -> str:
    """The value of an attribute as text; empty where it is absent."""
    found = value(ds, keyword)
    return "" if found is None else str(found).strip()


def private(ds: Dataset, group: int, creator: str, element: int) -> Any:
    """The value of a private attribute found through its private creator, or None."""
    try:
        return ds.private_block(group, creator)[element].value
    except (*PARSE_ERRORS, OSError):
        return None


def private_numbers(ds: Dataset, group: int, creator: str, element: int) -> tuple[float, ...]:
    """The values of a numeric private attribute; empty where it is absent or stored without a known VR."""
    return _floats(private(ds, group, creator, element))


def image_types(ds: Dataset) -> tuple[str, ...]:
    """Image Type (0008,0008) in capitals, empty values kept."""
    found = value(ds, "ImageType")
    if found is None:
        return ()
    return tuple(str(part).strip().upper() for part in ([found] if isinstance(found, str) else found))


def unreadable(ds: Dataset) -> str | None:
    """Why an object cannot be denoised at all, in a few words, or None.

    It is no grey MR image, or one whose pixels cannot be given back. `ds` is the header of a file.
    """
    return _other_object(ds) or _layout(ds)


def is_enhanced(ds: Dataset) -> bool:
    """Whether an object describes its frames by functional groups."""
    return sop_class(ds) in ENHANCED_MR


def is_mosaic(ds: Dataset) -> bool:
    """Whether a classic image is a Siemens mosaic, whose tiles are slices."""
    return not is_enhanced(ds) and "MOSAIC" in image_types(ds)


def sop_class(ds: Dataset) -> UID:
    """SOP Class UID of the data set, or of the file meta information where the data set has none."""
    return UID(text(ds, "SOPClassUID") or text(getattr(ds, "file_meta", Dataset()), "MediaStorageSOPClassUID"))


def transfer_syntax(ds: Dataset) -> UID | None:
    """The transfer syntax named in the file meta information; None where it is absent or no known transfer syntax."""
    uid = UID(text(getattr(ds, "file_meta", Dataset()), "TransferSyntaxUID"))
    return uid if uid in AllTransferSyntaxes else None


def _other_object(ds: Dataset) -> str | None:
    """Objects that are not MR images."""
    uid, modality = sop_class(ds), text(ds, "Modality")
    if uid == MRImageStorage or uid in ENHANCED_MR:
        return None if modality in ("MR", "") else f"{modality}, not MR"
    if uid == EnhancedMRColorImageStorage:
        return "colour image (Enhanced MR Color)"
    if uid == MRSpectroscopyStorage:
        return "MR spectroscopy, not an image"
    if not uid:
        return f"{modality or 'unknown modality'}, no SOP Class UID: cannot tell what it is"
    if modality == "MR" and "Secondary Capture" in uid.name:
        return f"screenshot or other secondary capture ({uid.name})"
    return f"{modality or 'unknown modality'}, not MR ({uid.name})"


def _layout(ds: Dataset) -> str | None:
    """MR images whose pixels are laid out in a way that is not handled."""
    rows, columns, frames = number(ds, "Rows"), number(ds, "Columns"), number(ds, "NumberOfFrames") or 1
    allocated, stored = number(ds, "BitsAllocated"), number(ds, "BitsStored")
    if not rows or not columns:
        return "no rows or columns in the header: damaged or not an image"
    if rows * columns > MAX_PIXELS:
        return f"{columns:.0f} x {rows:.0f} pixels in one slice: damaged header"
    if not 1 <= frames <= MAX_BYTES or rows * columns * frames * (allocated or 16) / 8 > MAX_BYTES:
        return f"{frames:.0f} frames of {columns:.0f} x {rows:.0f} pixels: damaged header, or too large for one file"
    if (number(ds, "SamplesPerPixel") or 1) != 1 or not text(ds, "PhotometricInterpretation").startswith("MONOCHROME"):
        return f"colour image ({text(ds, 'PhotometricInterpretation') or 'no photometric interpretation'})"
    if frames > 1 and not is_enhanced(ds):
        return "several frames in a classic MR object, which its definition does not allow"
    if transfer_syntax(ds) is None and text(getattr(ds, "file_meta", Dataset()), "TransferSyntaxUID"):
        return "unknown transfer syntax: cannot be decoded"
    if "FloatPixelData" in ds or "DoubleFloatPixelData" in ds:
        return "floating-point pixels: not allowed in MR images"
    if allocated not in (8, 16, 32) or not stored or not 1 <= stored <= allocated:
        return f"{stored or 0:.0f} bits stored in {allocated or 0:.0f}: damaged header or unknown layout"
    if (number(ds, "HighBit") or stored - 1) != stored - 1:
        return "high bit is not bits stored - 1: retired pixel layout"
    if "ModalityLUTSequence" in ds:
        return "values go through a modality look-up table, which cannot be inverted"
    return None


def unwanted(ds: Dataset) -> str | None:
    """Why a slice is not denoised unless the user insists, in a few words, or None.

    It shows no magnitude, or nobody wants it denoised. `ds` is the header of the slice (`dicom_planes.Plane.header`).
    """
    types = image_types(ds)
    for name, terms in _NOT_MAGNITUDE.items():
        for part in types[2:]:
            if part in terms or (len(part) > 2 and part[1] == "_" and part[0] in terms):
                return f"{name} (Image Type {part})"
    component = text(ds, "ComplexImageComponent").upper()
    if component not in ("", "MAGNITUDE"):
        return f"{component.lower()} image (Complex Image Component)"
    philips = str(private(ds, 0x2005, "Philips MR Imaging DD 001", 0x11) or "").upper()
    vendor = {"P": "phase", "R": "real", "I": "imaginary", "PHASE": "phase", "VELOCITY": "velocity"}.get(philips)
    ge = private_numbers(ds, 0x0043, "GEMS_PARM_01", 0x2F)
    if ge and ge[0] in (1, 2, 3):
        vendor = ("phase", "real", "imaginary")[int(ge[0]) - 1]
    if vendor:
        return f"{vendor} image (private vendor attribute)"
    if text(ds, "RescaleType").upper() in _PHYSICAL_UNITS:
        return f"map in {text(ds, 'RescaleType')} (Rescale Type)"
    if (unit := _real_world_unit(ds)).upper() in _PHYSICAL_UNITS:
        return f"map in {unit} (Real World Value Mapping)"
    description = " ".join((text(ds, "SeriesDescription"), text(ds, "ImageComments"))).replace("_", " ")
    if match := _LOCALIZER.search(description):
        return f"localizer (description says {match.group(0)!r})"
    if types[:1] == ("DERIVED",) and (match := _COMPUTED_MAP.search(description)):
        return f"computed map (description says {match.group(0)!r})"
    if _signed_about_zero(ds):
        return "field map or phase image: values on both sides of zero (window centre 0)"
    if text(ds, "BurnedInAnnotation").upper() == "YES":
        return "text burned into the pixels (Burned In Annotation)"
    return None


def _real_world_unit(ds: Dataset) -> str:
    """The unit that pixel values are mapped to, as coded by UCUM; empty where there is none."""
    mapping = value(ds, "RealWorldValueMappingSequence")
    units = value(mapping[0], "MeasurementUnitsCodeSequence") if mapping else None
    return text(units[0], "CodeValue") if units else ""


def _signed_about_zero(ds: Dataset) -> bool:
    """Whether the header shows an image with values about zero, which no magnitude image has.

    GE writes field maps into the series of their magnitude images with the same Image Type and description: signed, the
    display window centred on zero, the smallest pixel value below zero.
    """
    centre, width = number(ds, "WindowCenter"), number(ds, "WindowWidth")
    if number(ds, "PixelRepresentation") != 1 or centre is None or width is None or width <= 2:
        return False
    smallest = number(ds, "SmallestImagePixelValue")
    if smallest is not None and smallest >= 0:
        return False
    return abs(centre) < 0.05 * width and (number(ds, "RescaleIntercept") or 0.0) <= 0.0


def _floats(found: Any) -> tuple[float, ...]:
    if found is None or isinstance(found, bytes):
        return ()
    try:
        parts = [found] if isinstance(found, (str, int, float)) else list(found)
        return tuple(float(part) for part in parts)
    except (TypeError, ValueError):
        return ()
