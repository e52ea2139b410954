"""Codes, references and words of provenance that classic and enhanced MR share (DICOM PS3.16, CID 7203 and 7005)."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from mri_denoise.io.case import Derivation

MANUFACTURER = "mri-denoise"
"""How Contributing Equipment names this package; by it the node knows its own images."""


def code(value: str, meaning: str) -> Dataset:
    """An item of a code sequence, coded by DICOM itself."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item


def source_reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    """An item of Source Image Sequence."""
    reference = Dataset()
    reference.ReferencedSOPClassUID = sop_class_uid
    reference.ReferencedSOPInstanceUID = sop_instance_uid
    purpose = code("121322", "Source image for image processing operation")
    reference.PurposeOfReferenceCodeSequence = Sequence([purpose])
    return reference


def in_words(derivation: Derivation) -> str:
    """What Derivation Description says of the derivation."""
    what = "Simulated noise" if derivation.added_noise else "AI denoising"
    words = (
        f"{what}: model {derivation.model} {derivation.version}, noise level {derivation.sigma}, "
        f"strength {derivation.strength:g}, mri-denoise {derivation.software_version}"
    )
    return words[:1024]
