"""A volume, and what its affine says about voxels and slices.

Imports no torch, so that every command can use it at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import nibabel as nib
import numpy as np
from numpy.typing import ArrayLike

_THICK = 1.25  # times the next longest voxel edge
_ISOTROPIC = 1.5  # times the shortest voxel edge
_LEAST_SLICES = 32
_FEW = 16  # voxels: slices this narrow tell less than slices across the short axis
_FLAT = 1e-6  # volume of a cell whose edges have the length 1
_ONE_PLACE = 0.25  # of the shortest voxel edge


@dataclass(kw_only=True)
class Volume:
    """Pixels with the geometry that processing needs. The header stays with the reader and writer of its format.

    Args:
        array: float32, shape (T, X, Y, Z): T volumes that are never mixed, in the file's real-world units (slope and
            intercept applied). NaN and infinity are kept. A 2D image has the shape (1, H, W, 1).
        affine: 4 x 4 float64, voxel index to RAS+ millimetres; the identity where the file has none.
        slice_axis: the spatial axis (0, 1, 2) across the slices where the file names it (DICOM: 2), otherwise None.
        contiguous: whether neighbouring slices may serve as context for one another.
        white_level: the value of white in a file that defines it (255 for 8-bit pictures), otherwise None.
        picture: whether it is a picture (PNG, JPEG ...) and not a scan, so that it may be resized.

    Examples:
        >>> import numpy as np
        >>> thick = Volume(array=np.zeros((1, 64, 64, 20), np.float32), affine=np.diag([1.0, 1.0, 4.0, 1.0]))
        >>> slice_axis_of(thick)
        2
        >>> has_thick_slices(thick.affine), is_isotropic(thick.affine)
        (True, False)
    """

    array: np.ndarray
    affine: np.ndarray
    slice_axis: int | None = None
    contiguous: bool = True
    white_level: float | None = None
    picture: bool = False


def spans_space(affine: ArrayLike) -> bool:
    """Tell whether the three axes of an affine lead in three directions, as those of an image do.

    Args:
        affine: 4 x 4, voxel index to RAS+ millimetres.

    Examples:
        >>> spans_space(np.eye(4)), spans_space(np.zeros((4, 4))), spans_space(np.ones((4, 4)))
        (True, False, False)
    """
    edges = np.asarray(affine, dtype=np.float64)[:3, :3]
    sizes = np.linalg.norm(edges, axis=0)
    if not np.isfinite(affine).all() or not sizes.all():
        return False
    return bool(abs(np.linalg.det(edges / sizes)) > _FLAT)


def voxel_sizes(affine: ArrayLike) -> np.ndarray:
    """Return the lengths of the voxel's three edges in mm.

    Args:
        affine: 4 x 4, voxel index to RAS+ millimetres; an array or a tensor.

    Returns:
        float64, shape (3,).
    """
    return nib.affines.voxel_sizes(np.asarray(affine, dtype=np.float64))


def has_thick_slices(affine: ArrayLike) -> bool:
    """Tell whether one voxel edge stands out: it is at least 1.25 times as long as the next longest one.

    Args:
        affine: 4 x 4, voxel index to RAS+ millimetres.
    """
    sizes = np.sort(voxel_sizes(affine))
    return bool(sizes[2] >= _THICK * sizes[1])


def is_isotropic(affine: ArrayLike, tolerance: float = _ISOTROPIC) -> bool:
    """Tell whether all voxel edges have about the same length: the longest is at most ``tolerance`` times the shortest.

    Args:
        affine: 4 x 4, voxel index to RAS+ millimetres.
        tolerance: 1 or more.
    """
    sizes = voxel_sizes(affine)
    return bool(sizes.max() <= tolerance * sizes.min())


def suits_three_planes(shape: tuple[int, ...], affine: ArrayLike) -> bool:
    """Tell whether slices across all three axes look alike, so that a volume may be cut along each plane.

    Args:
        shape: (X, Y, Z).
        affine: 4 x 4, voxel index to RAS+ millimetres.

    Returns:
        True if the voxels are isotropic (:func:`is_isotropic`) and each axis has 32 voxels or more.
    """
    return min(shape) >= _LEAST_SLICES and is_isotropic(affine)


def find_slice_axis(affine: ArrayLike, shape: Sequence[int] | None = None) -> int:
    """Find the axis across the slices as they were acquired.

    Args:
        affine: 4 x 4, voxel index to RAS+ millimetres.
        shape: (X, Y, Z). A slab of few voxels along another axis, as a crop leaves it, is cut across that axis, because
            slices across the axis that the affine tells would be strips.

    Returns:
        0, 1 or 2: the axis of the longest voxel edge if the slices are thick (:func:`has_thick_slices`), otherwise the
        axis from inferior to superior; the shortest axis of a slab.
    """
    if has_thick_slices(affine):
        axis = int(np.argmax(voxel_sizes(affine)))
    else:
        axes = nib.orientations.io_orientation(np.asarray(affine, dtype=np.float64))[:, 0]
        found = np.flatnonzero(axes == 2)
        axis = int(found[0]) if found.size else 2
    return axis if shape is None else _across_slab(axis, shape)


def slice_axis_of(volume: Volume) -> int:
    """Return the axis across the slices: the one that the file names, or else that of :func:`find_slice_axis`.

    A slab that was cut across another axis (``dim_info`` still names the old one) is cut along the slab. Slices that do
    not belong together are never cut.
    """
    shape = volume.array.shape[1:]
    if volume.slice_axis is None:
        return find_slice_axis(volume.affine, shape)
    return _across_slab(volume.slice_axis, shape) if volume.contiguous else volume.slice_axis


def _across_slab(axis: int, shape: Sequence[int]) -> int:
    """The shortest axis of a slab of at most :data:`_FEW` voxels; otherwise the axis that is given."""
    shortest = min(shape)
    return int(np.argmin(shape)) if shortest <= _FEW and 1.5 * shortest <= shape[axis] else axis


def turned_to(array: np.ndarray, affine: ArrayLike, other: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Order and turn the axes of an array as those of another grid, voxel by voxel without interpolation.

    Args:
        array: shape (X, Y, Z) or (X, Y, Z, T).
        affine: of the array, 4 x 4, voxel index to RAS+ millimetres.
        other: of the other grid.

    Returns:
        The array, and its affine, whose axes lead where those of ``other`` do, as nearly as this gives it; both as they
        were if they do already, or an affine does not span space.

    Examples:
        >>> turned, place = turned_to(np.arange(6).reshape(1, 2, 3), np.eye(4), np.diag([1.0, -1.0, 1.0, 1.0]))
        >>> turned.tolist(), place[1].tolist()
        ([[[3, 4, 5], [0, 1, 2]]], [0.0, -1.0, 0.0, 1.0])
    """
    mine, wanted = (np.asarray(one, dtype=np.float64) for one in (affine, other))
    if not (spans_space(mine) and spans_space(wanted)):
        return array, mine
    axes = nib.orientations.io_orientation(np.linalg.inv(wanted) @ mine)
    if np.array_equal(axes, [[0, 1], [1, 1], [2, 1]]):
        return array, mine
    back = nib.orientations.inv_ornt_aff(axes, array.shape[:3])
    return nib.orientations.apply_orientation(array, axes).copy(), mine @ back


def in_one_space(first: ArrayLike, second: ArrayLike, shape: Sequence[int]) -> bool:
    """Tell whether two affines put the voxels of a grid in the same places, but for rounding.

    Args:
        first: 4 x 4, voxel index to RAS+ millimetres.
        second: likewise.
        shape: (X, Y, Z) of the grid.

    Returns:
        True if no corner of the grid differs by more than a quarter of the shortest voxel edge.

    Examples:
        >>> moved = np.eye(4)
        >>> moved[0, 3] = 2.0
        >>> in_one_space(np.eye(4), moved, (8, 8, 8)), in_one_space(np.eye(4), 1.0001 * np.eye(4), (8, 8, 8))
        (False, True)
    """
    a, b = (np.asarray(affine, dtype=np.float64) for affine in (first, second))
    corners = np.stack(np.meshgrid(*((0, max(n - 1, 1)) for n in shape), indexing="ij"), axis=-1).reshape(-1, 3)
    apart = nib.affines.apply_affine(a, corners) - nib.affines.apply_affine(b, corners)
    return bool(np.linalg.norm(apart, axis=1).max() <= _ONE_PLACE * min(voxel_sizes(a).min(), voxel_sizes(b).min()))
