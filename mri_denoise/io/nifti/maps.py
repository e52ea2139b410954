"""Maps beside a result (removed noise, noise level): float32, in the grid of the image they belong to."""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import Path

import nibabel as nib
import numpy as np

from mri_denoise.errors import OutputError
from mri_denoise.io.case import Case
from mri_denoise.io.files import packing, write_beside
from mri_denoise.io.steps import SteppedWriter


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
    writer = MapWriter(affine, case, path, len(array))
    writer.put(array)
    return writer.finish()


class MapWriter(SteppedWriter[Path]):
    """A map that is written some volumes, shape (T, X, Y, Z), at a time; `finish` gives its path.

    Args:
        affine: as for :func:`write_map`.
        case: as for :func:`write_map`.
        path: as for :func:`write_map`.
        count: how many volumes there will be.

    Raises:
        OutputError: as :func:`write_map`, here and in the methods. After an error, nothing is left of the file.
    """

    def __init__(self, affine: np.ndarray, case: Case, path: Path, count: int) -> None:
        if case.kind != "image" and not path.name.lower().endswith((".nii", ".nii.gz")):
            raise OutputError(f"{path}: this is written as NIfTI; name the output .nii or .nii.gz")
        super().__init__(_picture_steps(case, path) if case.kind == "image" else _map_steps(affine, case, path, count))


def _picture_steps(case: Case, path: Path) -> Generator[None, np.ndarray | None, Path]:
    """Takes the one array of a picture, then None."""
    from PIL import Image

    with write_beside(path, case.sources) as partial:
        while (array := (yield)) is not None:
            Image.fromarray(np.ascontiguousarray(array[0, :, :, 0], dtype=np.float32)).save(partial, format="TIFF")
    return path


def _map_steps(affine: np.ndarray, case: Case, path: Path, count: int) -> Generator[None, np.ndarray | None, Path]:
    """Takes arrays, then None."""
    dtype: np.dtype | None = None
    with write_beside(path, case.sources) as partial, packing(partial) as out:
        while (array := (yield)) is not None:
            if dtype is None:
                shape = array.shape[1:] if count == 1 else (*array.shape[1:], count)
                header = _nifti(np.broadcast_to(np.float32(0), shape), affine, case.sources[0]).header
                header.set_slope_inter(1, 0)
                header.write_to(out)
                out.write(bytes(header.get_data_offset() - out.tell()))
                dtype = header.get_data_dtype()
            for volume in array:
                out.write(np.asarray(volume, dtype=dtype).tobytes(order="F"))
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
