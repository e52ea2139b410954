"""Groups of blocks that look alike: where they are, and the filter over each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.fft import dct

GROUP = 12  # blocks that are filtered together
SHRINKAGE = 1.2  # times the noise's power in the filter's gain
KAISER = 2.5  # beta of the window that a block is put back with
LEAST_NOISE = 0.05  # power of a coefficient's noise, of that of a voxel
AIR = 0.5  # sigma: blocks whose mean in the pilot is below it stay as they are
BATCH = 1024  # groups that are filtered at a time


class Axis(NamedTuple):
    """How blocks lie along an axis."""

    edge: int  # voxels of a block
    step: int  # from one to the next
    reach: float  # semi-axis of the ellipsoid that a block's like is sought in


class BlockMatching:
    """Filters blocks of a volume, each with those most like it.

    Args:
        axes: how blocks lie along each axis of the volume.
        shape: of the volume, at least a block along each axis.
        like: a tensor of the type and device to work with.
        correlation: of the noise with its neighbours, a row for each axis, from 1 at lag 0; None is white noise.
    """

    def __init__(
        self,
        axes: Sequence[Axis],
        shape: Sequence[int],
        like: torch.Tensor,
        correlation: np.ndarray | None = None,
    ) -> None:
        self.edges = [axis.edge for axis in axes]
        self.size = math.prod(self.edges)
        self.offsets = _ellipsoid([axis.reach for axis in axes])
        # fewer are in reach of a corner where an axis is hardly longer than a block
        room = torch.tensor([n - edge for n, edge in zip(shape, self.edges, strict=True)])
        self.members = min(GROUP, int(((self.offsets >= 0) & (self.offsets <= room)).all(1).sum()))
        self.windows = [torch.from_numpy(np.kaiser(edge, KAISER)).to(like) for edge in self.edges]
        # the orthonormal cosine transform along each axis of a block and along the group
        self.to_cosines = [
            torch.from_numpy(dct(np.eye(n), norm="ortho", axis=0)).to(like) for n in (*self.edges, self.members)
        ]
        in_space = zip(self.windows, self.to_cosines, strict=False)
        self.from_cosines = [window[:, None] * cosines.T for window, cosines in in_space] + [self.to_cosines[-1].T]
        spectrum = _noise_power(np.ones((3, 1)) if correlation is None else correlation, self.edges)
        self.spectrum = torch.from_numpy(np.repeat(spectrum, self.members)).to(like)[:, None]
        # used again and again: clearing new pages takes longer than the arithmetic
        self.memory = like.new_empty(3, self.size * self.members * BATCH)

    def add_filtered(
        self,
        y: torch.Tensor,
        p: torch.Tensor,
        sigma: torch.Tensor,
        grid: Sequence[Sequence[int]],
        sums: torch.Tensor,
    ) -> None:
        """Filter the blocks of a grid, each with those most like it, and add up what becomes of their voxels.

        Args:
            y: noisy volume without bias, or planes of it with all that the blocks of the grid can reach: shape
                (X, Y, Z), contiguous.
            p: its pilot, likewise.
            sigma: of the noise, a scalar or the shape of ``y``.
            grid: where blocks begin along each axis, in even steps but for the last.
            sums: shape (2, X, Y, Z), contiguous: weighted values and weights, which are added to; air adds nothing.
        """
        power = sigma.square() if sigma.ndim == 0 else _block_sums(sigma.square(), self.edges, grid) / self.size
        chosen = _block_sums(p, self.edges, grid) / self.size >= AIR * power.sqrt()
        if not chosen.any():
            return
        box = [slice(int(places.min()), int(places.max()) + 1) for places in chosen.nonzero().T]
        grid = [starts[side] for starts, side in zip(grid, box, strict=True)]
        chosen = chosen[tuple(box)].flatten()
        power = (power if power.ndim == 0 else power[tuple(box)].flatten()[chosen]).expand(int(chosen.sum()))
        starts = _flat(torch.cartesian_prod(*map(torch.tensor, grid)), p)[chosen]
        offsets = _flat(self.offsets, p)
        distances = _distances(p, self.offsets.tolist(), self.edges, grid).flatten(1)[:, chosen].T.contiguous()
        at_start = torch.zeros_like(p)  # weights of blocks
        values, weights = sums[0].view(-1), at_start.view(-1)
        inside = _flat(torch.cartesian_prod(*map(torch.arange, self.edges)), p).tolist()
        for batch in (slice(first, first + BATCH) for first in range(0, len(starts), BATCH)):
            nearest = distances[batch].topk(self.members, largest=False).indices.T.contiguous()
            like = (starts[batch] + offsets[nearest]).view(-1)
            blocks, weight = self._filter(y, p, like, power[batch])
            for voxel, place in zip(blocks.view(self.size, -1), inside, strict=True):
                values[place:].scatter_add_(0, like, voxel)
            weights.scatter_add_(0, like, weight.repeat(self.members))
        sums[1] += _spread(at_start, self.windows)

    def _filter(
        self, y: torch.Tensor, p: torch.Tensor, like: torch.Tensor, power: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Filter the groups of a batch.

        Args:
            y: noisy volume.
            p: its pilot.
            like: where the blocks begin in the flattened volume, the first of each group, then the second of each...
            power: of the noise, one for each group.

        Returns:
            filtered voxels times window and weight, in the order voxels of a block, ``like``; the weight of each group.
        """
        gain, work, spare = (memory[: self.size * len(like)] for memory in self.memory)
        self._gather(p, like, gain)
        gain, spare = _along_axes(self.to_cosines, gain, spare)
        gain = gain.square_().view(-1, len(power))
        noise = torch.mul(self.spectrum, SHRINKAGE * power.clamp_min(1e-20), out=spare.view_as(gain))
        gain /= noise.add_(gain)
        weight = 1 / (self.spectrum.T @ torch.square(gain, out=spare.view_as(gain)))[0].clamp_min(1e-3)
        self._gather(y, like, work)
        work, spare = _along_axes(self.to_cosines, work, spare)
        work.view_as(gain).mul_(gain).mul_(weight)
        return _along_axes(self.from_cosines, work, spare)[0], weight

    def _gather(self, volume: torch.Tensor, like: torch.Tensor, out: torch.Tensor) -> None:
        """Voxels of blocks into ``out``, as :meth:`_filter` has them."""
        strides = volume.stride()
        reached = sum((edge - 1) * stride for edge, stride in zip(self.edges, strides, strict=True))
        blocks = volume.as_strided((*self.edges, volume.numel() - reached), (*strides, 1))  # all, wherever they begin
        torch.gather(blocks, 3, like.expand(*self.edges, -1), out=out.view(*self.edges, -1))


def _along_axes(
    matrices: Sequence[torch.Tensor], values: torch.Tensor, spare: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Multiply each of the first axes of flat values by its matrix; what comes out is in one of the two tensors."""
    before = 1
    for matrix in matrices:
        shape = (before, len(matrix), -1)
        torch.bmm(matrix.expand(before, *matrix.shape), values.view(shape), out=spare.view(shape))
        values, spare, before = spare, values, before * len(matrix)
    return values, spare


def _noise_power(correlation: np.ndarray, edges: Sequence[int]) -> np.ndarray:
    """Power of the noise in each cosine coefficient of a block, of that in a voxel, at least :data:`LEAST_NOISE`.

    Args:
        correlation: from 1 at lag 0, a row for each axis; beyond its end there is none.
        edges: of the block.

    Returns:
        one number for each coefficient, in the order of the block's voxels.
    """
    power = np.ones(1)
    for row, edge in zip(correlation, edges, strict=True):
        lags = np.abs(np.subtract.outer(np.arange(edge), np.arange(edge)))
        covariance = np.append(row, 0)[np.minimum(lags, len(row))]
        cosines = dct(np.eye(edge), norm="ortho", axis=0)
        power = np.outer(power, np.einsum("ij,jk,ik->i", cosines, covariance, cosines)).ravel()
    return np.maximum(power, LEAST_NOISE)


def _ellipsoid(reach: Sequence[float]) -> torch.Tensor:
    """Whole offsets within an ellipsoid of these semi-axes: shape (N, 3)."""
    box = torch.cartesian_prod(*(torch.arange(-math.floor(r), math.floor(r) + 1) for r in reach))
    return box[(box / torch.tensor(reach)).square().sum(1) <= 1]


def _flat(places: torch.Tensor, volume: torch.Tensor) -> torch.Tensor:
    """Index of each place, shape (N, 3), in the flattened volume, on its device."""
    _, rows, columns = volume.shape
    return (places * torch.tensor((rows * columns, columns, 1))).sum(1).to(volume.device)


def _block_sums(volume: torch.Tensor, edges: Sequence[int], grid: Sequence[Sequence[int]]) -> torch.Tensor:
    """Sum of the voxels of each block of a grid."""
    for dim, (edge, starts) in enumerate(zip(edges, grid, strict=True)):  # the last, which is slow, once it is small
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


def _spread(at_start: torch.Tensor, windows: Sequence[torch.Tensor]) -> torch.Tensor:
    """What is given where blocks begin, to each of their voxels by the window along each axis."""
    for dim, window in enumerate(windows):
        first, *others = window.tolist()
        spread, n = at_start * first, at_start.shape[dim]
        for voxel, share in enumerate(others, 1):
            spread.narrow(dim, voxel, n - voxel).add_(at_start.narrow(dim, 0, n - voxel), alpha=share)
        at_start = spread
    return at_start


def _distances(
    p: torch.Tensor, offsets: Sequence[Sequence[int]], edges: Sequence[int], grid: Sequence[Sequence[int]]
) -> torch.Tensor:
    """Sum of squared differences between each block and those at its offsets: shape (offsets, *grid)."""
    reach = [max(along) for along in zip(*offsets, strict=True)]
    padded = F.pad(p, [side for n in reversed(reach) for side in (n, n)], value=math.inf)  # like nothing inside
    lows = [starts[0] for starts in grid]
    p = p[tuple(slice(starts[0], starts[-1] + edge) for starts, edge in zip(grid, edges, strict=True))]
    grid = [[start - low for start in starts] for starts, low in zip(grid, lows, strict=True)]
    distances = p.new_empty(len(offsets), *map(len, grid))
    for place, offset in enumerate(offsets):
        if any(offset):
            begins = [low + r + o for low, r, o in zip(lows, reach, offset, strict=True)]
            moved = padded[tuple(slice(begin, begin + n) for begin, n in zip(begins, p.shape, strict=True))]
            distances[place] = _block_sums((p - moved).square_(), edges, grid)
        else:
            distances[place] = -1  # a block belongs to its own group
    return distances
