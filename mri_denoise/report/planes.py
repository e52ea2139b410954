"""Slices of a volume, oriented as a radiologist sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import nibabel as nib
import numpy as np


@dataclass(frozen=True, kw_only=True)
class Plane:
    """One slice, ready to be drawn.

    Args:
        name: ``axial``, ``coronal``, ``sagittal``, or ``image`` for a 2D picture.
        pixels: float32 (rows, columns), the first row at the top; 0 where the array is not finite.
        size: (height, width) in mm, or in pixels for a 2D picture.
    """

    name: str
    pixels: np.ndarray
    size: tuple[float, float]


def middle_planes(
    array: np.ndarray, spacing: Sequence[float] | None = None, affine: np.ndarray | None = None
) -> list[Plane]:
    """Take the middle slices of a volume as a radiologist sees them, or a 2D picture as it is.

    The patient's right is on the left of axial and coronal slices, the front on the left of sagittal ones, and the head
    is at the top. Oblique volumes are turned to their closest axes, not resampled.

    Args:
        array: shape (X, Y, Z); (T, X, Y, Z), of which the first volume is shown; or a picture (rows, columns).
        spacing: millimetres along each axis of the array; read from ``affine``, or 1, by default.
        affine: voxel index to RAS+ mm, shape (4, 4). Without it, the axes run right, forward and up.

    Returns:
        axial, coronal and sagittal planes, without those that an axis of one voxel would make a line.

    Raises:
        ValueError: if the array has another number of axes.
    """
    if array.ndim == 4:
        array = array[0]
    if array.ndim == 2:
        step = (1.0, 1.0) if spacing is None else (float(spacing[0]), float(spacing[1]))
        size = (array.shape[0] * step[0], array.shape[1] * step[1])
        return [Plane(name="image", pixels=_drawable(array), size=size)]
    if array.ndim != 3:
        raise ValueError(f"a picture, a volume or a series of volumes is needed, not an array of shape {array.shape}")
    affine = np.eye(4) if affine is None else np.asarray(affine, dtype=np.float64)
    planes = [anatomical_plane(array, affine, axis, None, spacing) for axis in _axes_of(affine)]
    return [plane for plane in planes if min(plane.pixels.shape) > 1] or planes[:1]


def anatomical_plane(
    array: np.ndarray, affine: np.ndarray, axis: int, index: int | None = None, spacing: Sequence[float] | None = None
) -> Plane:
    """Take one slice of a volume as a radiologist sees it; see :func:`middle_planes`.

    Args:
        array: shape (X, Y, Z).
        affine: voxel index to RAS+ mm, shape (4, 4).
        axis: the axis of the array across the slice.
        index: along that axis; the middle of the turned volume by default.
        spacing: millimetres along each axis of the array; read from ``affine`` by default.

    Returns:
        the slice with its size.
    """
    step = nib.affines.voxel_sizes(affine) if spacing is None else np.asarray(spacing[:3], dtype=np.float64)
    orientation = orientation_of(affine)
    turned = nib.orientations.apply_orientation(array, orientation)
    extent = np.empty(3)
    extent[orientation[:, 0].astype(int)] = step
    extent *= turned.shape
    across = int(orientation[axis, 0])
    if index is None:
        index = turned.shape[across] // 2
    elif orientation[axis, 1] < 0:
        index = turned.shape[across] - 1 - index
    # Rows run downwards and columns to the right: z and y from the top down, x and y from the right and the front.
    if across == 2:
        name, pixels, size = "axial", turned[::-1, ::-1, index].T, (extent[1], extent[0])
    elif across == 1:
        name, pixels, size = "coronal", turned[::-1, index, ::-1].T, (extent[2], extent[0])
    else:
        name, pixels, size = "sagittal", turned[index, ::-1, ::-1].T, (extent[2], extent[1])
    return Plane(name=name, pixels=_drawable(pixels), size=size)


def orientation_of(affine: np.ndarray) -> np.ndarray:
    """The orientation of an affine as nibabel describes it; that of the identity for a degenerate affine."""
    orientation = nib.orientations.io_orientation(np.asarray(affine, dtype=np.float64))
    if np.isnan(orientation).any():
        return np.array([[0, 1], [1, 1], [2, 1]], dtype=np.float64)
    return orientation


def _axes_of(affine: np.ndarray) -> list[int]:
    """The axes of the array across axial, coronal and sagittal slices."""
    towards = orientation_of(affine)[:, 0].astype(int)
    return [int(np.flatnonzero(towards == direction)[0]) for direction in (2, 1, 0)]


def _drawable(array: np.ndarray) -> np.ndarray:
    """The array in float32, with 0 where it is not finite."""
    return np.nan_to_num(array.astype(np.float32), copy=False, nan=0.0, posinf=0.0, neginf=0.0)
