"""Slices of a volume as a radiologist sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import nibabel as nib
import numpy as np


@dataclass(frozen=True)
class Plane:
    """One slice, ready to be drawn.

    Args:
        name: ``axial``, ``coronal``, ``sagittal``, or ``image`` for a 2D picture.
        pixels: float32 (rows, columns), the first row on top; 0 where the array is not finite.
        size: (height, width) in mm, or in pixels for a 2D picture.
    """

    name: str
    pixels: np.ndarray
    size: tuple[float, float]


def middle_planes(
    array: np.ndarray, spacing: Sequence[float] | None = None, affine: np.ndarray | None = None
) -> list[Plane]:
    """The middle slices of a volume as a radiologist sees them, or a 2D picture as it is.

    The patient's right is on the left of axial and coronal slices, the front on the left of sagittal ones, the head up.
    Oblique volumes are turned to their closest axes, not resampled.

    Args:
        array: (X, Y, Z); (T, X, Y, Z), of which the first volume is shown; or a picture (rows, columns).
        spacing: millimetres along each axis of the array; read from ``affine``, or 1, by default.
        affine: voxel index to RAS+ mm; without one, the axes are taken to run right, forward and up.

    Returns:
        Axial, coronal and sagittal planes, without those that an axis of one voxel would make a line.

    Raises:
        ValueError: if the array has another number of axes.
    """
    if array.ndim == 4:
        array = array[0]
    if array.ndim == 2:
        step = (1.0, 1.0) if spacing is None else (float(spacing[0]), float(spacing[1]))
        return [Plane("image", drawable(array), (array.shape[0] * step[0], array.shape[1] * step[1]))]
    if array.ndim != 3:
        raise ValueError(f"a picture, a volume or a series of volumes is needed, not an array of shape {array.shape}")
    affine = np.eye(4) if affine is None else np.asarray(affine, dtype=np.float64)
    planes = [anatomical_plane(array, affine, axis, None, spacing) for axis in _axes_of(affine)]
    return [plane for plane in planes if min(plane.pixels.shape) > 1] or planes[:1]


def anatomical_plane(
    array: np.ndarray, affine: np.ndarray, axis: int, index: int | None = None, spacing: Sequence[float] | None = None
) -> Plane:
    """One slice of a volume as a radiologist sees it; see :func:`middle_planes`.

    Args:
        array: (X, Y, Z).
        affine: voxel index to RAS+ mm.
        axis: of the array, across the slice.
        index: along that axis of the array; the middle of the turned volume by default.
        spacing: millimetres along each axis of the array; read from ``affine`` by default.

    Returns:
        the slice with its size.
    """
    step = nib.affines.voxel_sizes(affine) if spacing is None else np.asarray(spacing[:3], dtype=np.float64)
    orientation = _orientation(affine)
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
        return Plane("axial", drawable(turned[::-1, ::-1, index].T), (extent[1], extent[0]))
    if across == 1:
        return Plane("coronal", drawable(turned[::-1, index, ::-1].T), (extent[2], extent[0]))
    return Plane("sagittal", drawable(turned[index, ::-1, ::-1].T), (extent[2], extent[1]))


def _orientation(affine: np.ndarray) -> np.ndarray:
    """The orientation array of nibabel; that of the identity for a degenerate affine."""
    orientation = nib.orientations.io_orientation(np.asarray(affine, dtype=np.float64))
    if np.isnan(orientation).any():
        return np.array([[0, 1], [1, 1], [2, 1]], dtype=np.float64)
    return orientation


def _axes_of(affine: np.ndarray) -> list[int]:
    """The array's axes across axial, coronal and sagittal slices."""
    towards = _orientation(affine)[:, 0].astype(int)
    return [int(np.flatnonzero(towards == direction)[0]) for direction in (2, 1, 0)]


def drawable(array: np.ndarray) -> np.ndarray:
    """Float32 with 0 for what is not finite."""
    return np.nan_to_num(array.astype(np.float32), copy=False, nan=0.0, posinf=0.0, neginf=0.0)
