"""Decide which DICOM objects are magnitude MR images, and say why the others are left alone.

Each rule looks at the header alone. The terms are those of DICOM PS3.3 C.8.3.1.1.1 (Image Type of MR images),
C.8.13.3.1.1 and C.8.13.3.1.2 (Image Type and Complex Image Component of enhanced MR), and those that vendors write from
Image Type value 3 on.
"""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.uid import EnhancedMRColorImageStorage, MRImageStorage, MRSpectroscopyStorage

from mri_denoise.io.dicom import MANUFACTURER
from mri_denoise.io.dicom.dataset import (
    ENHANCED_MR,
    image_types,
    is_enhanced,
    number,
    private,
    private_numbers,
    sop_class,
    text,
    transfer_syntax,
    value,
)
from mri_denoise.io.dicom.descriptions import by_description
from mri_denoise.io.dicom.functional_groups import DENOISED, NOISE_ADDED
from mri_denoise.io.image_type import by_image_type

MAX_PIXELS = 8192 * 8192
"""More pixels than this in one frame are taken for a damaged header, before memory is allocated."""
MAX_BYTES = 2**32 - 2
"""The longest pixel data that a DICOM file can hold uncompressed, as results are written."""

_PHYSICAL_UNITS = {"HZ", "RAD", "MRAD", "DEG", "MS", "S", "PPM", "1/S"}


def unreadable(ds: Dataset) -> str | None:
    """Say why an object cannot be denoised at all: it is no grey MR image, or its pixels could not be written back.

    Args:
        ds: the header of a file.

    Returns:
        The reason in a few words, or None.
    """
    return _other_object(ds) or _layout(ds)


def _other_object(ds: Dataset) -> str | None:
    """Say why an object is not an MR image."""
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
    return f"{modality or 'unknown modality'}, not MR ({uid.name[:64]})"


def _layout(ds: Dataset) -> str | None:
    """Say why the pixel layout of an MR image is not supported (Image Pixel module, PS3.3 C.7.6.3)."""
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
    """Say why a slice is denoised only on request: it shows no magnitude, or is a localizer or the like.

    Args:
        ds: the header of the slice, `mri_denoise.io.dicom.planes.Plane.header`.

    Returns:
        The reason in a few words, or None.
    """
    types = image_types(ds)
    if told := by_image_type(types):
        return told
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
    if unit := physical_unit(ds):
        told_by = "Rescale Type" if unit == text(ds, "RescaleType") else "Real World Value Mapping"
        return f"map in {unit} ({told_by})"
    if why := by_description(ds, derived=types[:1] == ("DERIVED",)):
        return why
    if _signed_about_zero(ds):
        return "field map or phase image: values on both sides of zero (window centre 0)"
    if _scaled_about_zero(ds):
        return "phase image or field map: values on both sides of zero (Rescale Slope and Intercept)"
    if text(ds, "BurnedInAnnotation").upper() == "YES":
        return "text burned into the pixels (Burned In Annotation)"
    return None


def denoised_already(ds: Dataset) -> str | None:
    """Say that a slice was denoised by this package, and that no noise was added since.

    Args:
        ds: the header of the slice.

    Returns:
        The reason in a few words, or None.
    """
    equipment = value(ds, "ContributingEquipmentSequence") or ()
    if not any(text(item, "Manufacturer") == MANUFACTURER for item in equipment):
        return None
    steps = [text(item, "DerivationDescription") for item in value(ds, "DerivationImageSequence") or ()]
    words = "; ".join(steps) if is_enhanced(ds) else text(ds, "DerivationDescription")
    return "denoised already, by mri-denoise" if words.rfind(DENOISED) > words.rfind(NOISE_ADDED) else None


def physical_unit(ds: Dataset) -> str:
    """The unit of a map (Hz, ms, degrees ...) by Rescale Type or Real World Value Mapping; empty for other images."""
    mapping = value(ds, "RealWorldValueMappingSequence")
    units = value(mapping[0], "MeasurementUnitsCodeSequence") if mapping else None  # UCUM, PS3.3 C.7.6.16.2.11
    named = (text(ds, "RescaleType"), text(units[0], "CodeValue") if units else "")
    return next((unit for unit in named if unit.upper() in _PHYSICAL_UNITS), "")


def _signed_about_zero(ds: Dataset) -> bool:
    """Whether values lie on both sides of zero, as in no magnitude image.

    GE writes field maps into the series of their magnitude images, with the same Image Type and description. They are
    signed, the display window is centred on zero, and the smallest pixel value is negative.
    """
    centre, width = number(ds, "WindowCenter"), number(ds, "WindowWidth")
    if number(ds, "PixelRepresentation") != 1 or centre is None or width is None or width <= 2:
        return False
    smallest = number(ds, "SmallestImagePixelValue")
    if smallest is not None and smallest >= 0:
        return False
    return abs(centre) < 0.05 * width and (number(ds, "RescaleIntercept") or 0.0) <= 0.0


def _scaled_about_zero(ds: Dataset) -> bool:
    """Whether unsigned stored values stand for a range about zero, as Siemens and Philips scale phase images."""
    slope, intercept, stored = (number(ds, keyword) for keyword in ("RescaleSlope", "RescaleIntercept", "BitsStored"))
    if number(ds, "PixelRepresentation") == 1 or not slope or not intercept or not stored or intercept >= 0:
        return False
    highest = slope * (2**stored - 1) + intercept
    return abs(highest + intercept) <= 0.02 * (highest - intercept)
