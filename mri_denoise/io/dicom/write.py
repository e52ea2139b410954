"""Write a derived MR series, whose headers are those of the source except for identifiers and provenance."""

from __future__ import annotations

import os
import warnings
from datetime import datetime
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from mri_denoise.errors import InputError, OutputError
from mri_denoise.io.case import Case, Derivation
from mri_denoise.io.dicom.dataset import PARSE_ERRORS, error_words
from mri_denoise.io.dicom.derive import derive, pixel_digest, set_pixels
from mri_denoise.io.dicom.layout import volume_of
from mri_denoise.io.dicom.pixels import decode, open_image, pixel_format, replaced, stored_values
from mri_denoise.io.dicom.read import planes_of
from mri_denoise.io.files import IS_INPUT, folder_beside


def write_series(
    case: Case,
    array: np.ndarray,
    destination: Path,
    derivation: Derivation,
    *,
    keep_vendor_headers: bool = False,
) -> list[Path]:
    """Write a case as a derived MR series, or a part of one: classic, enhanced or mosaic like its source.

    The sources are opened again for their headers and stored values. Values that are bitwise those that were read keep
    their stored value, and frames of the same files that do not belong to the case are copied. Files appear in
    `destination` only after all files of the case have been written.

    Args:
        case: from `mri_denoise.io.discover`.
        array: float32 (volumes, columns, rows, slices), in the source's real-world units.
        destination: the folder of the derived series; volumes of one source series go to the same.
        derivation: how the result was made; it is recorded and enters the new UIDs.
        keep_vendor_headers: keep private blocks that describe the old pixels (Siemens CSA).

    Returns:
        The files written, in the order of the sources.

    Raises:
        InputError: A source cannot be read any more, or has another shape than the array.
        OutputError: A file would replace one of the sources, or cannot be written.
    """
    details = volume_of(case)
    if array.shape != details.array_shape:
        raise InputError(f"{case.label}: result has shape {array.shape}, the source {details.array_shape}")
    targets = [destination / name for name in details.names]
    _refuse_sources(targets, details.paths)
    now = datetime.now().astimezone()
    with folder_beside(destination) as temporary:
        written = []
        for k, wanted in details.by_file().items():
            path, name = details.paths[k], details.names[k]
            slices = {plane: array[t, :, :, z].T for plane, (t, z) in wanted.items()}
            ds = _derived(path, slices, derivation, now, keep_vendor_headers)
            written.append(temporary / name)
            written[-1].parent.mkdir(parents=True, exist_ok=True)
            _save(ds, written[-1], path)
        for file, target in zip(written, targets, strict=True):
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(file, target)
    return targets


def _derived(path: Path, slices: dict[int, np.ndarray], derivation: Derivation, now: datetime, keep: bool) -> Dataset:
    """Make the derived data set of one file from new values of some of its planes, shape (rows, columns)."""
    ds = open_image(path)
    found, layout = planes_of(ds, path), pixel_format(ds)
    count = 1 + max(plane.frame for plane in found)
    words = np.stack([decode(ds, path, frame) for frame in range(count)])
    for k, new in slices.items():
        part = found[k].cut(words[found[k].frame])
        part[...] = replaced(part, pixel_format(found[k].header), np.asarray(new, dtype=np.float32))
    limits = [(int(stored.min()), int(stored.max())) for stored in (stored_values(w, layout) for w in words)]
    changed = sorted({found[k].frame for k in slices})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pixels = pixel_digest(words)
            derive(ds, derivation, now, pixels=pixels, frames=changed, keep_vendor_headers=keep)
            set_pixels(ds, words, min(low for low, _ in limits), max(high for _, high in limits))
    except PARSE_ERRORS as error:
        why = error_words(error)
        raise InputError(f"{path}: its header cannot be used ({why}); repair the file") from error
    return ds


def _save(ds: Dataset, file: Path, source: Path) -> None:
    """Write a data set in the DICOM file format; a header that cannot be encoded is an error of the source."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pydicom.dcmwrite(file, ds, enforce_file_format=True)
    except PARSE_ERRORS as error:
        why = error_words(error)
        raise InputError(f"{source}: its header cannot be written again ({why}); repair the file") from error


def _refuse_sources(targets: list[Path], sources: tuple[Path, ...]) -> None:
    """Refuse to replace any source, also through links."""
    inputs = {os.path.realpath(source) for source in sources}
    for target in targets:
        if os.path.realpath(target) in inputs:
            raise OutputError(f"{target}: {IS_INPUT}")
