"""Read from the header of a DICOM file what sorting needs to know of its slices."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pydicom.datadict import dictionary_description
from pydicom.dataset import Dataset
from pydicom.uid import MediaStorageDirectoryStorage

from mri_denoise.io.case import Skip
from mri_denoise.io.dicom.dataset import (
    PARSE_ERRORS,
    has_value,
    image_types,
    instance_uid,
    is_enhanced,
    number,
    numbers,
    private_numbers,
    series_identity,
    sop_class,
    text,
)
from mri_denoise.io.dicom.diffusion import Diffusion, diffusion_of
from mri_denoise.io.dicom.eligibility import denoised_already, physical_unit, unreadable, unwanted
from mri_denoise.io.dicom.open import pixels_missing, read_header, readable
from mri_denoise.io.dicom.planes import LayoutError, Plane, planes
from mri_denoise.io.dicom.stored_bits import upper_bits
from mri_denoise.io.sniff import is_dicom

_SMALLEST = 1e-25  # slope, so that squares of values are numbers in single precision, too
_ROUNDED_COSINES = 0.1  # by which cosines that were rounded miss a length of 1 or a right angle
_ITEM_GROUP = 0xFFFE  # items and delimiters, which only sequences and encapsulated pixels hold


@dataclass(frozen=True, kw_only=True)
class Instance:
    """One slice as sorting sees it: a classic image, a frame of enhanced MR or a tile of a mosaic.

    Args:
        path: the file.
        plane: its number among the slices of the file, from 0.
        sop_uid: SOP Instance UID.
        series: patient, study and series (`mri_denoise.io.dicom.dataset.series_identity`); images that differ here are
            never sorted into one volume.
        series_number: Series Number, or None.
        description: Series Description, or the protocol's name.
        shape: rows, columns.
        divider: the attributes that always divide a series into volumes (size, echo, image type, diffusion ...). How
            values are stored (bits, sign, slope) is not among them.
        moment: the time point that the header names; it divides a series, too.
        orientation: Image Orientation (Patient): direction cosines of a row, then of a column, LPS; or None.
        position: Image Position (Patient): centre of the first pixel in mm, LPS; or None.
        spacing: Pixel Spacing in mm: between rows, between columns; or None.
        scale: Rescale Slope and Intercept, or None where they are absent.
        thickness: the larger of Slice Thickness and Spacing Between Slices in mm, or None.
        number: Instance Number, or None.
        acquisition: Acquisition Number, or None.
        timing: what may tell repeated positions apart: inversion time, flip angle, trigger time, acquisition time.
        what: kind of image and contrast, in words.
        forced: why it would be left alone without ``force``, or empty.
        notes: what is unusual about it, in words.
        wrapped: why its values cannot be trusted: they certainly need more bits than the header says; or empty.
    """

    path: Path
    plane: int
    sop_uid: str
    series: tuple[str, str, str]
    series_number: int | None
    description: str
    shape: tuple[int, int]
    divider: tuple[object, ...]
    moment: tuple[object, ...]
    orientation: tuple[float, ...] | None
    position: tuple[float, ...] | None
    spacing: tuple[float, float] | None
    scale: tuple[float, float] | None
    thickness: float | None
    number: int | None
    acquisition: int | None
    timing: tuple[object, ...]
    what: str
    forced: str = ""
    notes: tuple[str, ...] = ()
    wrapped: str = ""

    @property
    def key(self) -> tuple[Path, int]:
        """A key that no other slice has."""
        return self.path, self.plane


def read_file(path: Path, *, force: bool = False, own_results: bool = True) -> tuple[list[Instance], list[Skip]]:
    """Read the header of a file.

    Args:
        path: the file.
        force: take also phase images, maps, localizers and other images that are usually not denoised.
        own_results: take also what this package denoised before.

    Returns:
        Its slices that are to be denoised, and why the file or some of its frames are left alone. Both are empty for a
        DICOMDIR, which is only an index of other files.
    """
    try:
        if not path.stat().st_size:
            return [], [Skip(source=path, reason="empty file", damaged=True)]
        if not is_dicom(path):
            return [], [Skip(source=path, reason="not a DICOM file" if readable(path) else "no permission to read it")]
        ds = read_header(path)
    except OSError as error:
        return [], [Skip(source=path, reason=f"cannot be read: {error.strerror or error}", damaged=True)]
    except ValueError as error:
        reason = f"damaged or truncated DICOM file: {one_line(str(error))}"
        return [], [Skip(source=path, reason=reason, damaged=True)]
    if sop_class(ds) == MediaStorageDirectoryStorage or "DirectoryRecordSequence" in ds:
        return [], []
    if stray := [tag for tag in ds.keys() if tag.group == _ITEM_GROUP]:
        reason = f"damaged data set: an item tag {stray[0]} outside any sequence; export it again"
        return [], [Skip(source=path, reason=reason, damaged=True)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if why := unreadable(ds):
                return [], [Skip(source=path, reason=one_line(why))]
            if missing := pixels_missing(ds, path):
                return [], [Skip(source=path, reason=missing, damaged=True)]
            unusual, wrong = upper_bits(ds, path)
            notes, wrapped = ((), unusual) if wrong else ((unusual,) if unusual else (), "")
            reasons = partial(_why_not, own_results=own_results and not force)
            instances, skips = _wanted(planes(ds), path, force, reasons)
            return [replace(one, notes=notes, wrapped=wrapped) for one in instances], skips
    except LayoutError as error:
        return [], [Skip(source=path, reason=str(error))]
    except PARSE_ERRORS as error:
        return [], [Skip(source=path, reason=f"damaged header: {one_line(str(error))}", damaged=True)]


def _why_not(ds: Dataset, own_results: bool) -> str:
    """Why a slice is denoised only on request, in one line; empty if there is no reason."""
    return one_line((not own_results and denoised_already(ds)) or unwanted(ds) or "")


def _wanted(
    found: list[Plane], path: Path, force: bool, why_not: Callable[[Dataset], str]
) -> tuple[list[Instance], list[Skip]]:
    """Divide the slices of a file into those to denoise and those to leave alone, reason by reason."""
    reasons = [why_not(plane.header) for plane in found]
    taken = [k for k, reason in enumerate(reasons) if force or not reason]
    instances = [_instance(found[k], k, path, reasons[k]) for k in taken]
    skips = []
    for reason in dict.fromkeys(reason for reason in reasons if reason and not force):
        numbers_ = [k + 1 for k, other in enumerate(reasons) if other == reason]
        where = "" if len(numbers_) == len(found) else f"{ranges('frame', numbers_)}: "
        skips.append(Skip(source=path, reason=where + reason))
    return instances, skips


def one_line(words: str) -> str:
    """Shorten words that may quote a damaged header, and remove line breaks and control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in words).split())[:160]


def ranges(what: str, numbers_: list[int]) -> str:
    """List whole numbers in words.

    Examples:
        >>> ranges("frame", [1, 2, 3, 7])
        'frames 1-3, 7'
    """
    parts: list[list[int]] = []
    for one in sorted(numbers_):
        if parts and one == parts[-1][1] + 1:
            parts[-1][1] = one
        else:
            parts.append([one, one])
    words = ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in parts)
    return f"{what}{'s' if len(numbers_) > 1 else ''} {words}"


def _instance(plane: Plane, index: int, path: Path, forced: str) -> Instance:
    ds = plane.header
    diffusion = diffusion_of(ds)
    spacing, position = numbers(ds, "PixelSpacing"), numbers(ds, "ImagePositionPatient")
    thickness = [n for n in (number(ds, "SliceThickness"), number(ds, "SpacingBetweenSlices")) if n]
    timing = ("InversionTime", "FlipAngle", "RepetitionTime", "TriggerTime", "AcquisitionDateTime", "AcquisitionTime")
    return Instance(
        path=path,
        plane=index,
        sop_uid=instance_uid(ds),
        series=series_identity(ds),
        series_number=_whole(ds, "SeriesNumber"),
        description=text(ds, "SeriesDescription") or text(ds, "ProtocolName"),
        shape=plane.shape,
        divider=_divider(ds, diffusion),
        moment=tuple(numbers(ds, keyword) for keyword in ("TemporalPositionIdentifier", "TemporalPositionIndex")),
        orientation=_cosines(numbers(ds, "ImageOrientationPatient")),
        position=position if len(position) == 3 else None,
        spacing=(spacing[0], spacing[1]) if len(spacing) == 2 and min(spacing) > 0 else None,
        scale=_scale(ds),
        thickness=max(map(abs, thickness)) if thickness else None,
        number=_whole(ds, "InstanceNumber"),
        acquisition=_whole(ds, "AcquisitionNumber"),
        timing=tuple(text(ds, keyword) for keyword in timing),
        what=_what(ds, diffusion),
        forced=forced,
    )


def _what(ds: Dataset, diffusion: Diffusion | None) -> str:
    """Kind of image and contrast, in words."""
    layout = "enhanced" if is_enhanced(ds) else "mosaic" if "MOSAIC" in image_types(ds) else "classic"
    echo = number(ds, "EffectiveEchoTime") or number(ds, "EchoTime")
    return ", ".join(
        [
            f"{layout} {text(ds, 'Modality') or 'MR'}",
            *([f"TE {echo:g} ms"] if echo else []),
            *([f"b {diffusion[0]} s/mm2"] if diffusion else []),
        ]
    )


def _divider(ds: Dataset, diffusion: Diffusion | None) -> tuple[object, ...]:
    """The attributes that always divide a series into volumes."""
    numeric = ("Rows", "Columns", "EchoTime", "EchoNumbers", "EffectiveEchoTime", "PixelSpacing")
    parts: list[object] = [tuple(round(n, 4) for n in numbers(ds, keyword)) for keyword in numeric]
    parts += [image_types(ds), text(ds, "ComplexImageComponent"), physical_unit(ds), text(ds, "StackID")]
    # Siemens scanners without public diffusion attributes put b-value and direction into the name: ep_b1000#12.
    parts.append(text(ds, "SequenceName") if "ep_b" in text(ds, "SequenceName") else "")
    # GE writes magnitude images and field maps into one series; private elements tell the image type.
    parts += [private_numbers(ds, 0x0043, "GEMS_PARM_01", element)[:1] for element in (0x2F, 0x30)]
    return (*parts, diffusion)


def _scale(ds: Dataset) -> tuple[float, float] | None:
    """Rescale Slope, of which 0 counts as 1, and Rescale Intercept; None if both are absent.

    Raises:
        ValueError: One is no number, so that the values are unknown, or they are too large or small to compute with.
    """
    slope, intercept = number(ds, "RescaleSlope"), number(ds, "RescaleIntercept")
    for keyword, found in (("RescaleSlope", slope), ("RescaleIntercept", intercept)):
        if found is None and has_value(ds, keyword):
            raise ValueError(f"{dictionary_description(keyword)} is no number")
    if not _SMALLEST <= abs(slope or 1.0) <= 1 / _SMALLEST or abs(intercept or 0.0) > 1 / _SMALLEST:
        raise ValueError(f"Rescale Slope {slope}, Rescale Intercept {intercept}: no values of an image")
    return None if slope is None and intercept is None else (slope or 1.0, intercept or 0.0)


def _cosines(found: tuple[float, ...]) -> tuple[float, ...] | None:
    """Direction cosines of a row and a column; None if they are no two directions at a right angle, such as zeros."""
    if len(found) != 6:
        return None
    across = math.hypot(*found[:3]), math.hypot(*found[3:])
    overlap = sum(a * b for a, b in zip(found[:3], found[3:], strict=True))
    return found if max(abs(overlap), *(abs(one - 1) for one in across)) < _ROUNDED_COSINES else None


def _whole(ds: Dataset, keyword: str) -> int | None:
    found = number(ds, keyword)
    return None if found is None else int(found)
