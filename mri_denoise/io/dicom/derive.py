"""Turn the header of a source image into that of the derived one: identifiers, provenance, and nothing else.

DICOM PS3.3: General Series C.7.3.1, General Equipment and Contributing Equipment C.12.1, General Image C.7.6.1,
General Reference C.12.4; codes of PS3.16 (CID 7203 Image Derivation, CID 7005 Contributing Equipment).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence as Numbers
from datetime import datetime

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes
from pydicom.tag import BaseTag, Tag
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

from mri_denoise.io.case import Derivation
from mri_denoise.io.dicom import MANUFACTURER
from mri_denoise.io.dicom.dataset import (
    flat_copy,
    instance_uid,
    is_enhanced,
    is_mosaic,
    number,
    series_identity,
    sop_class,
    text,
    time_zone,
)
from mri_denoise.io.dicom.functional_groups import (
    LONGEST_TEXT,
    SMOOTHING,
    code_item,
    describe_frames,
    in_words,
    source_reference,
)
from mri_denoise.io.dicom.lossy import keep_lossy
from mri_denoise.io.dicom.texts import append_text, keep_bytes, text_bytes

SERIES_NUMBER_OFFSET = 10000
"""Added to the Series Number of the source."""
SERIES_SUFFIX = " (denoised)"
"""Appended to the Series Description of a denoised series."""
NOISE_SUFFIX = " (noise added)"
"""Appended to the Series Description of a noisy copy."""
_LARGEST_IS = 2**31 - 1
_LONG_STRING = 64
_SWAPPED = {"OW": 2, "OL": 4, "OF": 4, "OD": 8, "OV": 8}
# not true of the new pixels any more
_DROPPED = (
    *("IconImageSequence", "SmallestPixelValueInSeries", "LargestPixelValueInSeries", "InstanceCreatorUID"),
    *("DigitalSignaturesSequence", "MACParametersSequence", "ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
    *("SOPInstanceStatus", "SOPAuthorizationDateTime", "SOPAuthorizationComment"),
    "AuthorizationEquipmentCertificationNumber",
)


def derived_uid(source_uid: str, derivation: Derivation, *more: str) -> str:
    """Make a UID that is the same whenever the same source is processed in the same way.

    Args:
        source_uid: UID of the source series or instance.
        derivation: model, weights, strength and settings enter; the noise level, an estimate for each volume, does not.
        more: anything else that tells sources apart.

    Returns:
        A UID under the root of pydicom, made from a hash of the arguments.
    """
    parts = (source_uid, *more, derivation.model, derivation.version, derivation.weights_sha256)
    return generate_uid(entropy_srcs=["\0".join((*parts, repr(float(derivation.strength)), derivation.settings))])


def derive(
    ds: Dataset,
    derivation: Derivation,
    now: datetime,
    *,
    pixels: str = "",
    frames: Numbers[int] = (0,),
    keep_vendor_headers: bool = False,
) -> None:
    """Turn the data set of a source image into that of the derived one, in place; `set_pixels` replaces the pixels.

    Args:
        ds: the source, pixel data included.
        derivation: how the result was made.
        now: time of the derivation, for Content Date and Time in the time zone of the source.
        pixels: of the derived image, see `pixel_digest`.
        frames: numbers of the frames that were changed, from 0.
        keep_vendor_headers: keep private blocks that describe the old pixels (Siemens CSA). Those of a mosaic always
            stay, because they describe its layout.
    """
    source = flat_copy(ds)  # reading a value of `ds` would convert it, and change its bytes
    source_class, source_series = str(sop_class(source)), text(source, "SeriesInstanceUID")
    source_uid = instance_uid(source)
    implicit = ds.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    _drop_stray(ds)
    if ds.original_encoding != (implicit, True):
        keep_bytes(ds)
    if not ds.original_encoding[1]:
        _to_little_endian(ds)
    for keyword in _DROPPED:
        if keyword in ds:
            del ds[keyword]
    if not keep_vendor_headers and not is_mosaic(ds):
        _drop_private(ds, "SIEMENS CSA")
    keep_lossy(ds, source)
    _identify(ds, source, derivation, pixels)
    if is_enhanced(ds):
        describe_frames(ds, derivation, frames, (source_class, source_uid), source_series)
    else:
        _describe(ds, derivation, source_class, source_uid)
    now = now.astimezone(time_zone(source))
    _add_equipment(ds, derivation, now)
    ds.ContentDate, ds.ContentTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    if "InstanceCreationDate" in ds:
        ds.InstanceCreationDate = ds.ContentDate
    if "InstanceCreationTime" in ds:
        ds.InstanceCreationTime = ds.ContentTime
    ds.preamble = bytes(128)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian


def set_pixels(ds: Dataset, words: np.ndarray, smallest: int, largest: int) -> None:
    """Put uncompressed pixels into a data set, and update their range if the source gave one.

    Args:
        ds: the derived data set.
        words: unsigned integers of Bits Allocated, shape (frames, rows, columns).
        smallest: smallest stored value.
        largest: largest stored value.
    """
    data = words.astype(words.dtype.newbyteorder("<")).tobytes()
    ds.add_new(0x7FE00010, "OW" if words.dtype.itemsize > 1 else "OB", data + b"\0" * (len(data) % 2))
    if ds.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian:
        ds[0x7FE00010].VR = "OW"
    for keyword, found in (("SmallestImagePixelValue", smallest), ("LargestImagePixelValue", largest)):
        if keyword in ds:
            if -(2**15) <= found < 2**16:
                ds.add_new(Tag(keyword), "SS" if ds.PixelRepresentation else "US", found)
            else:
                del ds[keyword]


def pixel_digest(words: np.ndarray) -> str:
    """The SHA-256 of pixels as they are written; it enters the SOP Instance UID.

    So no two different images share a UID: not those of which other frames were changed, nor those whose values a
    different machine rounds differently.
    """
    return hashlib.sha256(words.astype(words.dtype.newbyteorder("<")).tobytes()).hexdigest()


def _what_differs(ds: Dataset) -> list[str]:
    """What may tell apart images that share a SOP Instance UID against the rules, as after bad de-identification."""
    keywords = ("ImagePositionPatient", "ImageOrientationPatient", "InstanceNumber", "AcquisitionNumber", "EchoTime")
    times = ("TemporalPositionIdentifier", "AcquisitionTime", "AcquisitionDateTime")
    return [text(ds, keyword) for keyword in (*keywords, *times)]


def _drop_stray(ds: Dataset) -> None:
    """Delete what no data set may hold: zeros after its end, which read as elements of group 0000."""
    for tag in [tag for tag in ds.keys() if tag.group in (0x0000, 0x0002)]:
        del ds[tag]


def _identify(ds: Dataset, source: Dataset, derivation: Derivation, pixels: str) -> None:
    """Make it a new instance in a new series of the same study, frame of reference and position."""
    ds.SOPClassUID = str(sop_class(source))
    for keyword in ("ConcatenationUID", "SOPInstanceUIDOfConcatenationSource"):
        if text(source, keyword):
            setattr(ds, keyword, derived_uid(text(source, keyword), derivation))
    patient, study, series = series_identity(source)
    ds.SeriesInstanceUID = derived_uid(series, derivation, patient, study)
    # of the series, too: an image whose patient was corrected belongs to another one
    told = (str(ds.SeriesInstanceUID), *_what_differs(source), pixels)
    ds.SOPInstanceUID = derived_uid(instance_uid(source), derivation, *told)
    series_number = int(number(source, "SeriesNumber") or 0) + SERIES_NUMBER_OFFSET
    if series_number <= _LARGEST_IS:
        ds.SeriesNumber = series_number
    suffix = NOISE_SUFFIX if derivation.added_noise else SERIES_SUFFIX
    append_text(ds, "SeriesDescription", suffix, _LONG_STRING)


def _describe(ds: Dataset, derivation: Derivation, source_class: str, source_uid: str) -> None:
    """Describe in words, codes and references where the pixels of a classic image come from."""
    found = ds.get("ImageType") or []
    source_type = [found] if isinstance(found, str) else list(found)
    ds.ImageType = ["DERIVED", "SECONDARY", *source_type[2:]]
    words = in_words(derivation)
    append_text(
        ds, "DerivationDescription", f"; {words}" if text_bytes(ds, "DerivationDescription") else words, LONGEST_TEXT
    )
    if not derivation.added_noise:
        _append(ds, "DerivationCodeSequence", code_item(SMOOTHING))
    ds.SourceImageSequence = Sequence([source_reference(source_class, source_uid)])


def _add_equipment(ds: Dataset, derivation: Derivation, now: datetime) -> None:
    """Add what processed the image to Contributing Equipment: model, version, weights and settings."""
    weights = f", weights SHA-256 {derivation.weights_sha256}" if derivation.weights_sha256 else ""
    equipment = Dataset()
    equipment.PurposeOfReferenceCodeSequence = Sequence([code_item(codes.DCM.ProcessingEquipment)])
    equipment.Manufacturer = MANUFACTURER
    equipment.ManufacturerModelName = derivation.model[:_LONG_STRING]
    equipment.SoftwareVersions = [f"mri-denoise {derivation.software_version}"[:_LONG_STRING]]
    equipment.ContributionDateTime = now.strftime("%Y%m%d%H%M%S")
    settings = f"; settings {derivation.settings}" if derivation.settings else ""
    equipment.ContributionDescription = f"model version {derivation.version}{weights}{settings}"[:LONGEST_TEXT]
    _append(ds, "ContributingEquipmentSequence", equipment)


def _append(ds: Dataset, keyword: str, item: Dataset) -> None:
    setattr(ds, keyword, Sequence([*(ds.get(keyword) or []), item]))


def _drop_private(ds: Dataset, creator: str) -> None:
    """Delete the private blocks whose creator starts with the given words."""
    creators = [tag for tag in ds.keys() if tag.is_private_creator and _creator(ds, tag).startswith(creator)]
    for tag in creators:
        block = [other for other in ds.keys() if other.group == tag.group and other.element >> 8 == tag.element]
        for other in [*block, tag]:
            del ds[other]


def _creator(ds: Dataset, tag: BaseTag) -> str:
    """The value of a Private Creator element, which stays as it is in the file."""
    found = getattr(ds.get_item(tag), "value", None) or ""
    return found.decode("latin-1") if isinstance(found, bytes) else str(found)


def _to_little_endian(ds: Dataset) -> None:
    """Swap the bytes of binary values read from a big-endian file, which pydicom keeps as they are."""
    for element in ds.iterall():
        size = _SWAPPED.get(element.VR)
        if size and isinstance(element.value, bytes) and element.tag != 0x7FE00010:
            element.value = np.frombuffer(element.value, dtype=f">u{size}").astype(f"<u{size}").tobytes()
