"""Affines for tests."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation


def affine_of(sizes: tuple[float, ...], order: tuple[int, ...] = (0, 1, 2), turn: float = 0.0) -> np.ndarray:
    """Array axis i runs along world axis ``order[i]``, with that voxel size, all turned by so many degrees."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis, (size, world) in enumerate(zip(sizes, order, strict=True)):
        affine[world, axis] = size
    affine[:3, :3] = Rotation.from_euler("xyz", [turn, turn / 2, -turn], degrees=True).as_matrix() @ affine[:3, :3]
    affine[:3, 3] = (10, -20, 30)
    return affine
