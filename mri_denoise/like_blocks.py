"""Groups of blocks that look alike: where they are, and the filter over each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.fft import dct

GROUP = 16  # blocks that are filtered together
SHRINKAGE = 1.4  # times the noise's power in the filter's gain
AIR = 0.5  # sigma: blocks whose mean in the pilot is below it stay as they are
BATCH = 1024  # groups that are filtered at a time


class Axis(NamedTuple):
    """How blocks lie along an axis."""

    edge: int  # voxels of a block
    step: int  # from one to the next
    reach: int  # that a block's like may be off


def add_filtered(
    y: torch.Tensor,
    p: torch.Tensor,
    sigma: torch.Tensor,
    axes: Sequence[Axis],
    grid: Sequence[torch.Tensor],
    sums: torch.Tensor,
) -> None:
    """Filter the blocks of a grid, each with those most like it, and add up what becomes of their voxels.

    Args:
        y: noisy volume without bias, shape (X, Y, Z), contiguous.
        p: its pilot, likewise.
        sigma: of the noise, a scalar or the volume's shape.
        axes: how blocks lie along each axis.
        grid: where they begin along each axis, in even steps but for the last.
        sums: shape (2, X, Y, Z), contiguous: weighted values and weights, which are added to; air adds nothing.
    """
    edges = [axis.edge for axis in axes]
    size = math.prod(edges)
    power = sigma.square() if sigma.ndim == 0 else _block_sums(sigma.square(), edges, grid) / size
    chosen = _block_sums(p, edges, grid) / size >= AIR * power.sqrt()
    if not chosen.any():
        return
    box = [slice(int(places.min()), int(places.max()) + 1) for places in chosen.nonzero().T]
    grid = [starts[side] for starts, side in zip(grid, box, strict=True)]
    chosen = chosen[tuple(box)].flatten()
    power = power if power.ndim == 0 else power[tuple(box)].flatten()[chosen]
    starts = _flat(torch.cartesian_prod(*grid), p)[chosen]
    inside = _flat(torch.cartesian_prod(*(torch.arange(edge, device=p.device) for edge in edges)), p)
    offsets = torch.cartesian_prod(*(torch.arange(-axis.reach, axis.reach + 1, device=p.device) for axis in axes))
    distances = _distances(p, offsets, edges, grid).flatten(1)[:, chosen].T.contiguous()
    offsets = _flat(offsets, p)
    # fewer are in reach of a corner where an axis is hardly longer than a block
    members = min(GROUP, math.prod(min(axis.reach, n - axis.edge) + 1 for axis, n in zip(axes, p.shape, strict=True)))
    filter_groups = _GroupFilter(p, edges, members)
    at_start = torch.zeros_like(p)  # weights of blocks
    y, p, values, weights = y.flatten(), p.flatten(), sums[0].view(-1), at_start.view(-1)
    for batch in (slice(first, first + BATCH) for first in range(0, len(starts), BATCH)):
        like = starts[batch] + offsets[distances[batch].topk(members, largest=False).indices.T.contiguous()]
        index = (like[..., None] + inside).view(-1)
        blocks, weight = filter_groups(y, p, index, power if power.ndim == 0 else power[batch])
        values.scatter_add_(0, index, blocks)
        weights.scatter_add_(0, like.view(-1), weight.expand(like.shape).flatten())
    sums[1] += _spread(at_start, edges)


class _GroupFilter:
    """Filters groups of blocks, in memory that it uses again: clearing new pages takes longer than the arithmetic.

    Args:
        like: a tensor of the type and device to work with.
        edges: of the blocks.
        members: blocks of a group.
    """

    def __init__(self, like: torch.Tensor, edges: Sequence[int], members: int) -> None:
        self.size, self.members = math.prod(edges), members
        self.in_space, self.along_group = _cosines(edges).to(like), _cosines([members]).to(like)
        self.memory = like.new_empty(3, members * BATCH * self.size)

    def __call__(
        self, y: torch.Tensor, p: torch.Tensor, index: torch.Tensor, power: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Filter the groups of a batch.

        Args:
            y: noisy voxels, flat.
            p: those of the pilot.
            index: of each voxel, in the order members, groups, voxels of a block.
            power: of the noise, a scalar or one for each group.

        Returns:
            filtered voxels in the order of ``index``, and the weight of each group.
        """
        gain, work, spare = (memory[: len(index)] for memory in self.memory)
        self._transform(p, index, gain, work)
        noise = (SHRINKAGE * power.clamp_min(1e-20)).expand(len(index) // (self.members * self.size)).contiguous()
        gain, groups = gain.square_().view(self.members, -1, self.size), work.view(self.members, -1, self.size)
        gain /= torch.add(gain, noise[:, None], out=groups)
        weight = 1 / torch.square(gain, out=groups).sum((0, 2)).clamp_min(1e-3)
        self._transform(y, index, work, spare)
        work *= gain.view(-1)
        torch.mm(work.view(-1, self.size), self.in_space, out=spare.view(-1, self.size))
        torch.mm(self.along_group.T, spare.view(self.members, -1), out=work.view(self.members, -1))
        groups *= weight[:, None]
        return work, weight

    def _transform(self, voxels: torch.Tensor, index: torch.Tensor, out: torch.Tensor, work: torch.Tensor) -> None:
        """Coefficients of the groups into ``out``."""
        torch.index_select(voxels, 0, index, out=out)
        torch.mm(self.along_group, out.view(self.members, -1), out=work.view(self.members, -1))
        torch.mm(work.view(-1, self.size), self.in_space.T, out=out.view(-1, self.size))


def _flat(places: torch.Tensor, volume: torch.Tensor) -> torch.Tensor:
    """Index of each place, shape (N, 3), in the flattened volume."""
    _, rows, columns = volume.shape
    return (places * torch.tensor((rows * columns, columns, 1), device=places.device)).sum(1)


def _cosines(edges: Sequence[int]) -> torch.Tensor:
    """The orthonormal cosine transform of a flattened block, as a matrix."""
    matrix = np.ones((1, 1))
    for edge in edges:
        matrix = np.kron(matrix, dct(np.eye(edge), norm="ortho", axis=0))
    return torch.from_numpy(matrix)


def _block_sums(volume: torch.Tensor, edges: Sequence[int], grid: Sequence[torch.Tensor]) -> torch.Tensor:
    """Sum of the voxels of each block of a grid."""
    for dim, (edge, starts) in enumerate(zip(edges, grid, strict=True)):  # the last, which is slow, once it is small
        first, last, count = int(starts[0]), int(starts[-1]), len(starts)
        step = int(starts[1]) - first if count > 1 else 1
        even = count if last == first + (count - 1) * step else count - 1  # the last block may be closer
        sums = volume.new_empty(*volume.shape[:dim], count, *volume.shape[dim + 1 :])
        for place, number, begin in ((0, even, first), (even, count - even, last)):
            part = sums.narrow(dim, place, number)
            for voxel in range(edge if number else 0):
                index = (slice(None),) * dim + (slice(begin + voxel, begin + voxel + (number - 1) * step + 1, step),)
                part = part.copy_(volume[index]) if voxel == 0 else part.add_(volume[index])
        volume = sums
    return volume


def _spread(at_start: torch.Tensor, edges: Sequence[int]) -> torch.Tensor:
    """What is given where blocks begin, to each of their voxels."""
    for dim, edge in enumerate(edges):
        spread, n = at_start.clone(), at_start.shape[dim]
        for voxel in range(1, edge):
            spread.narrow(dim, voxel, n - voxel).add_(at_start.narrow(dim, 0, n - voxel))
        at_start = spread
    return at_start


def _distances(
    p: torch.Tensor, offsets: torch.Tensor, edges: Sequence[int], grid: Sequence[torch.Tensor]
) -> torch.Tensor:
    """Sum of squared differences between each block and those at its offsets: shape (offsets, *grid)."""
    reach = offsets.max(0).values.tolist()
    padded = F.pad(p, [side for n in reversed(reach) for side in (n, n)], value=math.inf)  # like nothing inside
    lows = [int(starts[0]) for starts in grid]
    p = p[tuple(slice(low, int(starts[-1]) + edge) for low, starts, edge in zip(lows, grid, edges, strict=True))]
    grid = [starts - low for starts, low in zip(grid, lows, strict=True)]
    distances = p.new_empty(len(offsets), *(len(starts) for starts in grid))
    for place, offset in enumerate(offsets.tolist()):
        if any(offset):
            begins = [low + r + o for low, r, o in zip(lows, reach, offset, strict=True)]
            moved = padded[tuple(slice(begin, begin + n) for begin, n in zip(begins, p.shape, strict=True))]
            distances[place] = _block_sums((p - moved).square_(), edges, grid)
        else:
            distances[place] = -1  # a block belongs to its own group
    return distances
