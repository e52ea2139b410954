"""What the filter of a group of blocks is made of: sizes, transforms, weights and the power of the noise.

:class:`~mri_denoise.inference.group_filter.GroupFilter` and its compiled form share one design.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.fft import dct

from mri_denoise.inference.block_matching import BlockAxis, search_offsets
from mri_denoise.noise.correlation import cosine_power

GROUP, LARGE_GROUP = 16, 32  # blocks that are filtered together: usually, and where the noise is strong
SHRINKAGE = 1.2  # times the power of the noise in the filter's gain
KAISER = 2.5  # beta of the window that weighs the voxels of a block
LEAST_NOISE = 0.05  # least power of the noise in a coefficient, relative to that in a voxel
AIR = 0.5  # sigma: blocks with a lower mean in the pilot keep the pilot
LEAST_POWER = 1e-20  # of the noise of a block, so that the gain is defined
LEAST_LEFT = 1e-3  # least power of the noise that a filter leaves, relative to that in a voxel


@dataclass(frozen=True, kw_only=True)
class GroupDesign:
    """How groups of blocks are filtered.

    Args:
        axes: how blocks lie along each axis of the volume.
        offsets: where similar blocks are sought, shape (N, 3), among them (0, 0, 0).
        members: blocks of a group.
        shrinkage: times the power of the noise in the filter's gain.
        windows: weights of the voxels along each axis of a block.
        transforms: orthonormal transforms, one coefficient a row: cosine transforms along the three axes of a block,
            and the Walsh-Hadamard transform along the group, which needs additions alone and separates the members of
            a group as well (measured on validation volumes).
        spectrum: power of the noise in each coefficient of a block, relative to that in a voxel; in the order of the
            block's voxels.
    """

    axes: tuple[BlockAxis, BlockAxis, BlockAxis]
    offsets: torch.Tensor
    members: int
    shrinkage: float
    windows: tuple[np.ndarray, ...]
    transforms: tuple[np.ndarray, ...]
    spectrum: np.ndarray

    @property
    def edges(self) -> tuple[int, int, int]:
        """Voxels of a block along each axis."""
        first, second, third = (axis.edge for axis in self.axes)
        return first, second, third

    @property
    def reach(self) -> tuple[int, int, int]:
        """Voxels to the farthest block along each axis."""
        first, second, third = (math.floor(axis.radius) for axis in self.axes)
        return first, second, third

    @property
    def size(self) -> int:
        """Voxels of a block."""
        return math.prod(self.edges)


def design_groups(
    axes: Sequence[BlockAxis],
    shape: Sequence[int],
    correlation: np.ndarray | None = None,
    *,
    members: int = GROUP,
    shrinkage: float = SHRINKAGE,
) -> GroupDesign:
    """Design the filter of a volume's groups.

    Args:
        axes: how blocks lie along each axis of the volume.
        shape: of the volume, at least a block along each axis.
        correlation: of the noise with its neighbours, a row for each axis, from 1 at lag 0; None is white noise.
        members: blocks of a group at most. The largest power of 2 is taken that this and the blocks within reach of
            a corner allow; a volume that is hardly longer than a block has few of them.
        shrinkage: times the power of the noise in the filter's gain.
    """
    first, second, third = axes
    offsets = search_offsets(axes)
    room = torch.tensor([n - axis.edge for n, axis in zip(shape, axes, strict=True)])
    within = int(((offsets >= 0) & (offsets <= room)).all(1).sum())
    members = 1 << (min(members, within).bit_length() - 1)
    cosines = [dct(np.eye(axis.edge), norm="ortho", axis=0) for axis in axes]
    return GroupDesign(
        axes=(first, second, third),
        offsets=offsets,
        members=members,
        shrinkage=shrinkage,
        windows=tuple(np.kaiser(axis.edge, KAISER) for axis in axes),
        transforms=(*cosines, _hadamard(members)),
        spectrum=_noise_power(np.ones((3, 1)) if correlation is None else correlation, cosines),
    )


def _hadamard(order: int) -> np.ndarray:
    """The orthonormal Walsh-Hadamard transform; scipy.linalg, which has it, takes long to import."""
    matrix: np.ndarray = np.ones((1, 1))
    while len(matrix) < order:
        matrix = np.kron([[1, 1], [1, -1]], matrix)
    return matrix / math.sqrt(order)


def _noise_power(correlation: np.ndarray, transforms: Sequence[np.ndarray]) -> np.ndarray:
    """Power of the noise in each coefficient of a block, in the order of its voxels, at least :data:`LEAST_NOISE`."""
    power = np.ones(1)
    for row, transform in zip(correlation, transforms, strict=True):
        power = np.outer(power, cosine_power(row, transform)).ravel()
    return np.maximum(power, LEAST_NOISE)
