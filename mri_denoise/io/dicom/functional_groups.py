"""Codes, references and words of provenance, and where enhanced MR keeps them: frame by frame, in functional groups.

DICOM PS3.3: Derivation Image C.7.6.16.2.6, MR Image Frame Type C.8.13.5.1, Image Type and Frame Type C.8.16.1,
Source Image Evidence C.8.13.2.1 (enhanced MR has no General Image module to hold these attributes at the top). PS3.16:
CID 7202 Source Image Purposes of Reference, CID 7203 Image Derivation.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from mri_denoise.io.case import Derivation
from mri_denoise.io.dicom.dataset import text, value

DENOISED, NOISE_ADDED = "AI denoising", "Simulated noise"
"""What a Derivation Description of this package begins with."""
SMOOTHING = codes.DCM.Smoothing
LONGEST_TEXT = 1024
"""Characters of VR ST."""
_DERIVATION, _TYPE = "DerivationImageSequence", "MRImageFrameTypeSequence"


def code_item(code: Code) -> Dataset:
    """An item of a code sequence (PS3.3 8.8)."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return item


def source_reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    """An item of Source Image Sequence, which refers to the image that was processed."""
    reference = Dataset()
    reference.ReferencedSOPClassUID = sop_class_uid
    reference.ReferencedSOPInstanceUID = sop_instance_uid
    purpose = code_item(codes.DCM.SourceImageForImageProcessingOperation)
    reference.PurposeOfReferenceCodeSequence = Items([purpose])
    return reference


def in_words(derivation: Derivation) -> str:
    """The derivation as text for Derivation Description, at most 1024 characters."""
    what = NOISE_ADDED if derivation.added_noise else DENOISED
    words = (
        f"{what}: model {derivation.model} {derivation.version}, noise level {derivation.sigma}, "
        f"strength {derivation.strength:g}, mri-denoise {derivation.software_version}"
    )
    return words[:LONGEST_TEXT]


def describe_frames(
    ds: Dataset, derivation: Derivation, changed: Sequence[int], source: tuple[str, str], series_uid: str
) -> None:
    """Record in an enhanced object which frames were derived, from what and how; the other frames stay as they are.

    A functional group stands either in the shared item or in the item of each frame. Derivation Image moves to the
    frames, because each refers to its own source frame; frames that were copied get an empty one. Frame Type stays
    shared if it was shared and all frames were changed.

    Args:
        ds: the derived data set.
        derivation: how the result was made.
        changed: numbers of the derived frames, from 0.
        source: SOP Class UID and SOP Instance UID of the source.
        series_uid: Series Instance UID of the source.
    """
    shared = value(ds, "SharedFunctionalGroupsSequence")
    frames = list(value(ds, "PerFrameFunctionalGroupsSequence") or ())
    whole = len(set(changed)) == len(frames)
    before = _move(shared[0] if shared else Dataset(), frames, _DERIVATION)
    if not whole:
        _move(shared[0] if shared else Dataset(), frames, _TYPE)
    for k in changed:
        item = _derivation_item(derivation, source, k)
        frames[k].DerivationImageSequence = Items([*(value(frames[k], _DERIVATION) or ()), item])
    for k in set(range(len(frames))) - set(changed):
        if not before and _DERIVATION not in frames[k]:
            frames[k].DerivationImageSequence = Items([])
    typed = [*(shared or ())] if whole and shared and _TYPE in shared[0] else [frames[k] for k in changed]
    for groups in typed:
        for item in value(groups, _TYPE) or ():
            item.FrameType = derived_type(item.get("FrameType"))
    ds.ImageType = derived_type(ds.get("ImageType"), "DERIVED" if whole or _all_derived(frames) else "MIXED")
    _add_evidence(ds, source, series_uid)
    if "ContentQualification" in ds:
        ds.ContentQualification = "RESEARCH"


def derived_type(found: object, first: str = "DERIVED") -> list[str]:
    """Image Type or Frame Type of enhanced MR (C.8.16.1): value 2 is PRIMARY, values from 3 on are the source's."""
    values = [found] if isinstance(found, str) else [str(part) for part in found or ()]  # type: ignore[attr-defined]
    return [first, "PRIMARY", *values[2:]]


def _move(shared: Dataset, frames: Sequence[Dataset], keyword: str) -> bool:
    """Move a functional group from the shared item to each frame; returns whether it was there."""
    if keyword not in shared:
        return False
    for groups in frames:
        groups[keyword] = copy.deepcopy(shared[keyword])
    del shared[keyword]
    return True


def _all_derived(frames: Sequence[Dataset]) -> bool:
    kinds = [value(item, "FrameType") for groups in frames for item in value(groups, _TYPE) or ()]
    return bool(kinds) and all(kind and kind[0] == "DERIVED" for kind in kinds)


def _derivation_item(derivation: Derivation, source: tuple[str, str], frame: int) -> Dataset:
    item = Dataset()
    item.DerivationDescription = in_words(derivation)
    # Noise that was added for a test has no code of its own in CID 7203.
    made = codes.DCM.ImageProcessing if derivation.added_noise else SMOOTHING
    item.DerivationCodeSequence = Items([code_item(made)])
    reference = source_reference(*source)
    reference.ReferencedFrameNumber = frame + 1
    reference.SpatialLocationsPreserved = "YES"
    item.SourceImageSequence = Items([reference])
    return item


def _add_evidence(ds: Dataset, source: tuple[str, str], series_uid: str) -> None:
    """Append a reference to the source instance, with its study and series, to Source Image Evidence."""
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = source
    series = Dataset()
    series.ReferencedSOPSequence = Items([reference])
    series.SeriesInstanceUID = series_uid
    study = Dataset()
    study.ReferencedSeriesSequence = Items([series])
    study.StudyInstanceUID = text(ds, "StudyInstanceUID")
    ds.SourceImageEvidenceSequence = Items([*(value(ds, "SourceImageEvidenceSequence") or ()), study])
