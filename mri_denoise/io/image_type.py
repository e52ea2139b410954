"""Image Type of MR images in DICOM (PS3.3 C.8.3.1.1.1), also as converters copy it to the JSON file of a NIfTI file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_LONGEST = 2**20  # bytes of a JSON file; what is longer describes no single image
_NOT_MAGNITUDE = {
    "phase image": {"P", "PHASE", "PHASE MAP", "PHASE_MAP", "PHASE CONTRAST P", "VELOCITY", "VELOCITY MAP"},
    "real image": {"R", "REAL"},
    "imaginary image": {"I", "IMAGINARY"},
    "field map": {"FIELD_MAP", "FIELD MAP", "FIELDMAP", "B0 MAP", "B0_MAP"},
    "flip-angle map": {"B1 MAP", "B1_MAP", "B1MAP", "FLIP ANGLE MAP", "FLIP_ANGLE_MAP", "FLIPANGLEMAP", "FA_MAP"},
    "diffusion map": {
        *("ADC", "ADC_UNSPECIFIED", "EADC", "EXP", "FA", "RA", "TENSOR", "COLFA", "MD", "AD", "RD"),
        *("DIFFUSION_ANISO", "R_COEFFICIENT"),
    },
    "relaxation or quantitative map": {
        *("T1 MAP", "T1_MAP", "T2 MAP", "T2_MAP", "T2_STAR MAP", "T2_STAR_MAP", "T2STAR_MAP", "T2* MAP", "T2*_MAP"),
        *("R1 MAP", "R2 MAP", "R2_MAP", "R2_STAR MAP", "R2_STAR_MAP", "R2*_MAP", "PD MAP", "FAT FRACTION", "FF"),
        *("TEMPERATURE", "METABOLITE_MAP", "SNR_MAP", "QSM", "QMAP"),
    },
    "perfusion map": {"RCBF", "RELCBF", "CBF", "RCBV", "RELCBV", "CBV", "MTT", "RELMTT", "TTP", "TMAX", "PBP", "GBP"},
    "statistical map": {
        *("T_MAP", "T-MAP", "Z_MAP", "Z-MAP", "TTEST", "T-TEST", "GLM", "STDDEV_COR", "STDDEV_SAG", "STDDEV_TRA"),
    },
    # the largest and smallest of many voxels, and differences, have another noise than a magnitude
    "projection": {
        *("PROJECTION IMAGE", "CSA MIP", "MIP", "MIP_COR", "MIP_SAG", "MIP_TRA", "COMP_MIP", "MNIP", "MINIP"),
        *("MAX_IP", "MIN_IP", "MINIMUM"),
    },
    "rendering": {"VRT", "SSD", "VOLUME_RENDER", "SURFACE_RENDER"},
    "subtraction": {"SUB", "SUBTRACT", "SUBTRACTION"},
    "localizer": {"LOCALIZER", "LOCALISER", "SCOUT"},
    "screenshot": {"SCREEN SAVE", "SCREENSAVE", "SCREENSHOT", "SCREEN CAPTURE", "PRESENTATION", "REPORT", "GSP"},
}


def by_image_type(types: Sequence[str]) -> str:
    """Say why an image is no magnitude image, or no image to denoise.

    Args:
        types: the values of Image Type, in capitals; only those from the third on count.

    Returns:
        The reason in a few words; empty if they do not say so.

    Examples:
        >>> by_image_type(["ORIGINAL", "PRIMARY", "P", "ND"])
        'phase image (Image Type P)'
        >>> by_image_type(["ORIGINAL", "PRIMARY", "M", "ND"])
        ''
    """
    for name, terms in _NOT_MAGNITUDE.items():
        for part in types[2:]:
            if part in terms or (len(part) > 2 and part[1] == "_" and part[0] in terms):
                return f"{name} (Image Type {part})"
    return ""


def by_metadata(metadata: Mapping[str, Any]) -> str:
    """Say the same of a NIfTI file, by the Image Type in its metadata.

    Args:
        metadata: what its JSON files say; a list of words, or one text with backslashes as DICOM divides them.

    Returns:
        The reason in a few words; empty if they do not say so.

    Examples:
        >>> by_metadata({"ImageType": ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]})
        'diffusion map (Image Type ADC)'
        >>> by_metadata({"EchoTime": 0.005})
        ''
    """
    types = metadata.get("ImageType")
    if isinstance(types, str):
        types = types.split("\\")
    return by_image_type([str(word).strip().upper() for word in types]) if isinstance(types, list) else ""


def by_json_beside(image: Path) -> str:
    """Say the same of a NIfTI file, by the JSON file of its name, as dcm2niix writes it.

    Args:
        image: the file.

    Returns:
        The reason in a few words; empty if there is no such file, or it does not say so.
    """
    stem = image.with_suffix("") if image.suffix.lower() == ".gz" else image
    beside = stem.with_suffix(".json")
    try:
        found = json.loads(beside.read_bytes()) if beside.stat().st_size <= _LONGEST else None
    except (OSError, ValueError, RecursionError):
        return ""
    reason = by_metadata(found) if isinstance(found, dict) else ""
    return f"{reason}, by {beside.name}" if reason else ""
