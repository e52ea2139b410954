"""Find the blocks of a volume that are most similar to each of the blocks on a grid.

A block is named by its first corner. The functions work on whole grids at a time: sums over blocks are taken one axis
after the other, and distances one offset after the other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

Grid = Sequence[Sequence[int]]  # for each axis the first voxels of the blocks: in even steps, except for the last one


@dataclass(frozen=True, kw_only=True)
class BlockAxis:
    """How blocks lie along an axis.

    Args:
        edge: voxels of a block.
        step: voxels from one block to the next.
        radius: semi-axis of the ellipsoid in which similar blocks are sought, in voxels.
    """

    edge: int
    step: int
    radius: float

    def starts(self, length: int) -> list[int]:
        """List the first voxels of the blocks along an axis: one every step, and one that ends with the volume.

        Args:
            length: voxels along the axis, at least a block.
        """
        last = length - self.edge
        return sorted({*range(0, last + 1, self.step), last})

    def widen(self, by: float) -> BlockAxis:
        """The same with blocks sought so many voxels farther away."""
        return replace(self, radius=self.radius + by)

    def every(self, step: int) -> BlockAxis:
        """The same with so many voxels from one block to the next."""
        return replace(self, step=step)


def search_offsets(axes: Sequence[BlockAxis]) -> torch.Tensor:
    """List the whole offsets within the ellipsoid of the axes' radii.

    Returns:
        shape (N, 3), among them (0, 0, 0).
    """
    radii = [axis.radius for axis in axes]
    box = torch.cartesian_prod(*(torch.arange(-math.floor(r), math.floor(r) + 1) for r in radii))
    return box[(box / torch.tensor(radii)).square().sum(1) <= 1]


def flat_index(places: torch.Tensor, volume: torch.Tensor) -> torch.Tensor:
    """Convert places to indices of the flattened volume.

    Args:
        places: shape (N, 3).
        volume: shape (X, Y, Z), contiguous.

    Returns:
        shape (N,), on the device of the volume.
    """
    _, rows, columns = volume.shape
    return (places * torch.tensor((rows * columns, columns, 1))).sum(1).to(volume.device)


def block_sums(volume: torch.Tensor, edges: Sequence[int], grid: Grid) -> torch.Tensor:
    """Sum the voxels of each block of a grid.

    Args:
        volume: shape (X, Y, Z).
        edges: voxels of a block along each axis.
        grid: of the blocks.

    Returns:
        one sum for each block, in the shape of the grid.
    """
    for dim, (edge, starts) in enumerate(zip(edges, grid, strict=True)):  # the last axis, which is slow, is small then
        first, last, count = starts[0], starts[-1], len(starts)
        step = starts[1] - first if count > 1 else 1
        even = count if last == first + (count - 1) * step else count - 1  # the last block may be closer
        sums = volume.new_empty(*volume.shape[:dim], count, *volume.shape[dim + 1 :])
        for place, number, begin in ((0, even, first), (even, count - even, last)):
            part = sums.narrow(dim, place, number)
            for voxel in range(edge if number else 0):
                index = (slice(None),) * dim + (slice(begin + voxel, begin + voxel + (number - 1) * step + 1, step),)
                part = part.copy_(volume[index]) if voxel == 0 else part.add_(volume[index])
        volume = sums
    return volume


def block_distances(
    volume: torch.Tensor, offsets: Sequence[Sequence[int]], edges: Sequence[int], grid: Grid
) -> torch.Tensor:
    """Sum the squared differences between each block of a grid and the blocks at offsets from it.

    Args:
        volume: shape (X, Y, Z).
        offsets: of the other blocks, among them the largest in each direction and its opposite.
        edges: voxels of a block along each axis.
        grid: of the blocks.

    Returns:
        shape (offsets, *grid): -1 at the offset 0, so that a block belongs to its own group; infinite where a block
        would stick out of the volume.
    """
    reach = [max(along) for along in zip(*offsets, strict=True)]
    padded = F.pad(volume, [side for n in reversed(reach) for side in (n, n)], value=math.inf)
    lows = [starts[0] for starts in grid]
    volume = volume[tuple(slice(starts[0], starts[-1] + edge) for starts, edge in zip(grid, edges, strict=True))]
    grid = [[start - low for start in starts] for starts, low in zip(grid, lows, strict=True)]
    distances = volume.new_empty(len(offsets), *map(len, grid))
    for place, offset in enumerate(offsets):
        if any(offset):
            begins = [low + r + o for low, r, o in zip(lows, reach, offset, strict=True)]
            moved = padded[tuple(slice(begin, begin + n) for begin, n in zip(begins, volume.shape, strict=True))]
            distances[place] = block_sums((volume - moved).square_(), edges, grid)
        else:
            distances[place] = -1
    return distances
