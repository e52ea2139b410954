"""Provenance of enhanced MR, frame by frame, in its functional groups.

DICOM PS3.3: Derivation Image C.7.6.16.2.6, MR Image Frame Type C.8.13.5.1, Image Type and Frame Type C.8.16.1,
Source Image Evidence C.8.13.2.1 (Enhanced MR has no General Image module to hold these attributes at the top).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from mri_denoise.io.case import Derivation
from mri_denoise.io.dicom.codes import code, in_words, source_reference
from mri_denoise.io.dicom.eligibility import text, value

_DERIVATION, _TYPE = "DerivationImageSequence", "MRImageFrameTypeSequence"


def describe_frames(
    ds: Dataset, derivation: Derivation, changed: Sequence[int], source: tuple[str, str], series_uid: str
) -> None:
    """Record in an enhanced object which frames were derived, from what and how; the others keep what they say.

    A functional group stands either in the shared item or in that of each frame. Derivation moves to the frames, for
    each refers to its own source frame; frames that were copied get an empty one. Frame Type stays shared if it was
    and all frames were changed.

    Args:
        ds: the derived data set.
        derivation: how the result came about.
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
    """Image Type or Frame Type of enhanced MR: value 2 is always PRIMARY, the others are the source's."""
    values = [found] if isinstance(found, str) else [str(part) for part in found or ()]  # type: ignore[attr-defined]
    return [first, "PRIMARY", *values[2:]]


def _move(shared: Dataset, frames: Sequence[Dataset], keyword: str) -> bool:
    """Copy a functional group from the shared item to each frame; whether it was there."""
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
    made = code("110001", "Image Processing") if derivation.added_noise else code("113087", "Smoothing")
    item.DerivationCodeSequence = Items([made])
    reference = source_reference(*source)
    reference.ReferencedFrameNumber = frame + 1
    reference.SpatialLocationsPreserved = "YES"
    item.SourceImageSequence = Items([reference])
    return item


def _add_evidence(ds: Dataset, source: tuple[str, str], series_uid: str) -> None:
    """Refer to the source instance, study and series named; an item of the same series is made longer."""
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = source
    series = Dataset()
    series.ReferencedSOPSequence = Items([reference])
    series.SeriesInstanceUID = series_uid
    study = Dataset()
    study.ReferencedSeriesSequence = Items([series])
    study.StudyInstanceUID = text(ds, "StudyInstanceUID")
    ds.SourceImageEvidenceSequence = Items([*(value(ds, "SourceImageEvidenceSequence") or ()), study])
