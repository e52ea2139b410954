"""Maps beside a result (removed noise, noise level): float32, in the grid of the image they belong to."""

from __future__ import annotations

import re
from pathlib import Path

import nibabel as nib
import numpy as np

from mri_denoise.io.case import Case
from mri_denoise.io.files import OutputError, write_beside


def companion(case: Case, destination: Path, suffix: str, extension: str | None = None) -> Path:
    """The path of a file beside a result.

    ``sub-01_T1w.nii.gz`` gets ``sub-01_T1w_residual.nii.gz``; a DICOM series in the folder ``301_T1`` gets files beside
    that folder, named after it and the volume, for a series may hold several volumes.

    Args:
        case: the case that was denoised.
        destination: its result: a file, or for DICOM a folder.
        suffix: added to the name.
        extension: of the new file; by default ``.nii.gz``, and ``.tif`` for pictures.

    Returns:
        the path.
    """
    if extension is None:
        extension = ".tif" if case.kind == "image" else ".nii.gz"
    name = destination.name
    if case.kind == "dicom" and not name.lower().endswith((".nii", ".nii.gz")):
        volume = re.sub(r"[^A-Za-z0-9.+-]+", "_", case.label).strip("_")
        stem = volume if volume.startswith(name) else f"{name}_{volume}"
        return destination.with_name(stem + suffix + extension)
    stem = re.sub(r"(\.gz)$", "", name, flags=re.IGNORECASE)
    stem = stem[: -len(Path(stem).suffix)] if Path(stem).suffix else stem
    return destination.with_name(f"{stem}{suffix}{extension}")


def write_map(array: np.ndarray, affine: np.ndarray, case: Case, path: Path) -> Path:
    """Write a map as float32: NIfTI in the image's grid, or a TIFF for pictures.

    Args:
        array: shape (T, X, Y, Z).
        affine: 4 x 4, voxel index to RAS+ millimetres.
        case: the case that the map belongs to, whose space, units and times it has; its files are never written over.
        path: where it goes: ``.nii``, ``.nii.gz`` or, of a picture, ``.tif``.

    Returns:
        the path.

    Raises:
        OutputError: if it cannot be written, or the name is of another format.
    """
    if case.kind != "image" and not path.name.lower().endswith((".nii", ".nii.gz")):
        raise OutputError(f"{path}: this is written as NIfTI; name the output .nii or .nii.gz")
    values = np.ascontiguousarray(array, dtype=np.float32)
    with write_beside(path, case.sources) as partial:
        if case.kind == "image":
            from PIL import Image

            Image.fromarray(values[0, :, :, 0]).save(partial, format="TIFF")
        else:
            data = values[0] if values.shape[0] == 1 else np.moveaxis(values, 0, -1)
            nib.save(_nifti(data, affine, case.sources[0]), partial)
    return path


def _nifti(data: np.ndarray, affine: np.ndarray, source: Path) -> nib.Nifti1Image:
    """An image with the space, units and times of a NIfTI source, or of the affine where the source is no NIfTI."""
    try:
        image = nib.load(source)
    except (OSError, nib.filebasedimages.ImageFileError):  # DICOM
        return nib.Nifti1Image(data, affine)
    if not isinstance(image, nib.Nifti1Pair):
        return nib.Nifti1Image(data, affine)
    kind = nib.Nifti2Image if isinstance(image, nib.Nifti2Pair) else nib.Nifti1Image
    header = image.header.copy()
    header.set_data_dtype(np.float32)
    header["cal_min"] = header["cal_max"] = 0  # display range of the source's values
    return kind(data, None, header)
