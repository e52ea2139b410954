"""Denoised DICOM volumes out: a derived MR series that archives take, the source's header kept but for its origin."""

from __future__ import annotations

import os
import secrets
import shutil
import warnings
from datetime import datetime
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from mri_denoise.errors import InputError, OutputError
from mri_denoise.io.case import Case, Derivation
from mri_denoise.io.dicom.derive import derive, set_pixels
from mri_denoise.io.dicom.eligibility import PARSE_ERRORS
from mri_denoise.io.dicom.layout import volume_of
from mri_denoise.io.dicom.pixels import decode, open_image, pixel_format, replaced, stored_values
from mri_denoise.io.dicom.read import planes_of


def write(
    case: Case,
    array: np.ndarray,
    destination: Path,
    derivation: Derivation,
    *,
    keep_vendor_headers: bool = False,
) -> list[Path]:
    """Write a case as (part of) a derived MR series, classic, enhanced or mosaic like its source.

    The sources are opened again for their headers and stored values. Values that are bitwise those that `read` gave
    are copied as stored, and so are frames of the same files that do not belong to the case. Files appear in
    `destination` only after all of the case's have been written.

    Args:
        case: from `discover`.
        array: float32 (volumes, columns, rows, slices), in the source's real-world units.
        destination: the folder of the derived series; volumes of one source series go to the same.
        derivation: how the result came about; recorded, and part of the new UIDs.
        keep_vendor_headers: keep private blocks that describe the old pixels (Siemens CSA).

    Returns:
        The files written, in the order of the sources.

    Raises:
        InputError: a source cannot be read any more, or has another shape than the array.
        OutputError: a file would replace one of the sources, or cannot be written.
    """
    details = volume_of(case)
    if array.shape != details.array_shape:
        raise InputError(f"{case.label}: result has shape {array.shape}, the source {details.array_shape}")
    targets = [destination / name for name in details.names]
    _refuse_sources(targets, details.paths)
    temporary = destination.parent / f".{destination.name}.{secrets.token_hex(8)}"
    now = datetime.now()
    try:
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
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"{destination}: cannot be written ({reason}); free space or choose another output"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return targets


def _derived(path: Path, slices: dict[int, np.ndarray], derivation: Derivation, now: datetime, keep: bool) -> Dataset:
    """The derived data set of one file; `slices` has the new values of some of its planes, shape (rows, columns)."""
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
            derive(ds, derivation, now, frames=changed, keep_vendor_headers=keep)
            set_pixels(ds, words, min(low for low, _ in limits), max(high for _, high in limits))
    except PARSE_ERRORS as error:
        why = " ".join(str(error).split())[:120]
        raise InputError(f"{path}: its header cannot be used ({why}); repair the file") from error
    return ds


def _save(ds: Dataset, file: Path, source: Path) -> None:
    """Write a data set in the DICOM file format; what cannot be encoded is the source's fault."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pydicom.dcmwrite(file, ds, enforce_file_format=True)
    except PARSE_ERRORS as error:
        why = " ".join(str(error).split())[:120]
        raise InputError(f"{source}: its header cannot be written again ({why}); repair the file") from error


def _refuse_sources(targets: list[Path], sources: tuple[Path, ...]) -> None:
    """Refuse to replace any source, whatever links lead to it."""
    inputs = {os.path.realpath(source) for source in sources}
    for target in targets:
        if os.path.realpath(target) in inputs:
            raise OutputError(f"{target}: is an input and is not overwritten; choose another output")
