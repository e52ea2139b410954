"""A volume, and what its affine says about voxels and slices. Without torch, so that every command may ask."""

from __future__ import annotations

from dataclasses import dataclass

import nibabel as nib
import numpy as np
from numpy.typing import ArrayLike

ANISOTROPY = 1.25


@dataclass
class Volume:
    """Pixels with the geometry that processing needs; headers stay with the format's writer.

    Args:
        array: float32, shape (T, X, Y, Z): T volumes that are never mixed, in the file's real-world units (slope and
            intercept applied). NaN and infinity are kept. 2D images have shape (1, H, W, 1).
        affine: 4 x 4 float64, voxel index to RAS+ millimetres; the identity where the file has none.
        slice_axis: the spatial axis (0, 1, 2) across slices where the file says so (DICOM: 2), otherwise None.
        contiguous: whether neighbouring slices may serve as context for one another.
        white_level: the value of white in files that define it (255 for 8-bit pictures), otherwise None.
        picture: whether it is a picture (PNG, JPEG ...) and not a scan, so that it may be resized.
    """

    array: np.ndarray
    affine: np.ndarray
    slice_axis: int | None = None
    contiguous: bool = True
    white_level: float | None = None
    picture: bool = False


def voxel_sizes(affine: ArrayLike) -> np.ndarray:
    """Lengths in mm of the voxel's three edges, from a 4 x 4 affine (array or tensor)."""
    return nib.affines.voxel_sizes(np.asarray(affine, dtype=np.float64))


def is_isotropic(affine: ArrayLike) -> bool:
    """Whether no axis stands out: its voxel edge is less than 1.25 times the next longest one."""
    sizes = np.sort(voxel_sizes(affine))
    return bool(sizes[2] < ANISOTROPY * sizes[1])


def find_slice_axis(affine: ArrayLike) -> int:
    """The axis across the slices as acquired: that of the largest spacing; axial (inferior to superior) if isotropic.

    Args:
        affine: 4 x 4, voxel index to RAS+ millimetres.

    Returns:
        0, 1 or 2.
    """
    if not is_isotropic(affine):
        return int(np.argmax(voxel_sizes(affine)))
    axes = nib.orientations.io_orientation(np.asarray(affine, dtype=np.float64))[:, 0]
    found = np.flatnonzero(axes == 2)
    return int(found[0]) if found.size else 2


def slice_axis_of(volume: Volume) -> int:
    """The axis across the slices: what the file says, or else :func:`find_slice_axis`."""
    return find_slice_axis(volume.affine) if volume.slice_axis is None else volume.slice_axis


def isotropic_voxels(affine: ArrayLike) -> bool:
    """Whether voxels are about as long in all directions: edges within a factor of 1.5.

    Args:
        affine: 4 x 4, voxel index to RAS+ millimetres.
    """
    sizes = voxel_sizes(affine)
    return bool(sizes.max() <= 1.5 * sizes.min())


def nearly_isotropic(shape: tuple[int, ...], affine: ArrayLike) -> bool:
    """Whether slices across any axis look alike: isotropic voxels, 32 or more on each axis.

    Args:
        shape: (X, Y, Z).
        affine: 4 x 4, voxel index to RAS+ millimetres.
    """
    return min(shape) >= 32 and isotropic_voxels(affine)
