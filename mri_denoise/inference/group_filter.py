"""Filter groups of similar blocks with an empirical Wiener filter in the domain of the cosine transform."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from mri_denoise.inference.block_matching import Grid, block_distances, block_sums, flat_index
from mri_denoise.inference.group_design import AIR, LEAST_LEFT, LEAST_POWER, GroupDesign
from mri_denoise.inference.rician_bias import subtract_bias

BATCH = 1024  # groups that are filtered at a time


class GroupFilter:
    """Filter the blocks of a volume, each together with the blocks most similar to it.

    Args:
        design: of the groups.
        template: a tensor of the type and device to work with.
    """

    def __init__(self, design: GroupDesign, template: torch.Tensor) -> None:
        self.edges, self.size, self.members = design.edges, design.size, design.members
        self.offsets, self.shrinkage = design.offsets, design.shrinkage
        self.windows = [torch.from_numpy(window).to(template) for window in design.windows]
        self.forward = [torch.from_numpy(transform).to(template) for transform in design.transforms]
        in_space = zip(self.windows, self.forward, strict=False)
        self.backward = [window[:, None] * transform.T for window, transform in in_space] + [self.forward[-1].T]
        self.spectrum = torch.from_numpy(np.repeat(design.spectrum, self.members)).to(template)[:, None]
        # allocated once: clearing new pages takes longer than the arithmetic
        self.memory = template.new_empty(3, self.size * self.members * BATCH)

    def add_filtered(
        self, noisy: torch.Tensor, pilot: torch.Tensor, sigma: torch.Tensor, grid: Grid, sums: torch.Tensor
    ) -> None:
        """Filter the blocks of a grid and add their voxels to the weighted sums.

        Args:
            noisy: magnitudes, or the planes of the volume that the blocks of the grid can reach: shape (X, Y, Z),
                contiguous.
            pilot: an estimate of the signal, likewise.
            sigma: of the noise, a scalar or the shape of ``noisy``.
            grid: of the blocks.
            sums: shape (2, X, Y, Z), contiguous: weighted values and weights, which are added to. Blocks of air add
                nothing.
        """
        power = sigma.square() if sigma.ndim == 0 else block_sums(sigma.square(), self.edges, grid) / self.size
        chosen = block_sums(pilot, self.edges, grid) / self.size >= AIR * power.sqrt()
        if not chosen.any():
            return
        noisy = subtract_bias(noisy, pilot, sigma)
        box = [slice(int(places.min()), int(places.max()) + 1) for places in chosen.nonzero().T]
        grid = [starts[side] for starts, side in zip(grid, box, strict=True)]
        chosen = chosen[tuple(box)].flatten()
        power = (power if power.ndim == 0 else power[tuple(box)].flatten()[chosen]).expand(int(chosen.sum()))
        starts = flat_index(torch.cartesian_prod(*map(torch.tensor, grid)), pilot)[chosen]
        offsets = flat_index(self.offsets, pilot)
        distances = block_distances(pilot, self.offsets.tolist(), self.edges, grid)
        distances = distances.flatten(1)[:, chosen].T.contiguous()
        weight_at_start = torch.zeros_like(pilot)
        values, weights = sums[0].view(-1), weight_at_start.view(-1)
        within = flat_index(torch.cartesian_prod(*map(torch.arange, self.edges)), pilot).tolist()
        for batch in (slice(first, first + BATCH) for first in range(0, len(starts), BATCH)):
            nearest = distances[batch].topk(self.members, largest=False).indices.T.contiguous()
            members = (starts[batch] + offsets[nearest]).view(-1)
            blocks, weight = self._filter(noisy, pilot, members, power[batch])
            for voxel, place in zip(blocks.view(self.size, -1), within, strict=True):
                values[place:].scatter_add_(0, members, voxel)
            weights.scatter_add_(0, members, weight.repeat(self.members))
        sums[1] += _spread(weight_at_start, self.windows)

    def _filter(
        self, noisy: torch.Tensor, pilot: torch.Tensor, members: torch.Tensor, power: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Filter the groups of a batch.

        Args:
            noisy: volume without bias.
            pilot: an estimate of the signal.
            members: where the blocks begin in the flattened volume: the first of each group, then the second of each...
            power: of the noise, one for each group.

        Returns:
            filtered voxels times window and weight, in the order (voxels of a block, ``members``); the weight of each
            group.
        """
        gain, work, spare = (memory[: self.size * len(members)] for memory in self.memory)
        self._gather(pilot, members, gain)
        gain, spare = _transform(self.forward, gain, spare)
        gain = gain.square_().view(-1, len(power))
        noise = torch.mul(self.spectrum, self.shrinkage * power.clamp_min(LEAST_POWER), out=spare.view_as(gain))
        gain /= noise.add_(gain)
        weight = 1 / (self.spectrum.T @ torch.square(gain, out=spare.view_as(gain)))[0].clamp_min(LEAST_LEFT)
        self._gather(noisy, members, work)
        work, spare = _transform(self.forward, work, spare)
        work.view_as(gain).mul_(gain).mul_(weight)
        return _transform(self.backward, work, spare)[0], weight

    def _gather(self, volume: torch.Tensor, members: torch.Tensor, out: torch.Tensor) -> None:
        """Copy the voxels of blocks to ``out``, in the order of :meth:`_filter`."""
        strides = volume.stride()
        reached = sum((edge - 1) * stride for edge, stride in zip(self.edges, strides, strict=True))
        # a view of the blocks that begin at each voxel
        blocks = volume.as_strided((*self.edges, volume.numel() - reached), (*strides, 1))
        torch.gather(blocks, 3, members.expand(*self.edges, -1), out=out.view(*self.edges, -1))


def _transform(
    matrices: Sequence[torch.Tensor], values: torch.Tensor, spare: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Multiply each of the first axes of flat values by its matrix; returns the result and the other tensor."""
    before = 1
    for matrix in matrices:
        shape = (before, len(matrix), -1)
        torch.bmm(matrix.expand(before, *matrix.shape), values.view(shape), out=spare.view(shape))
        values, spare, before = spare, values, before * len(matrix)
    return values, spare


def _spread(at_start: torch.Tensor, windows: Sequence[torch.Tensor]) -> torch.Tensor:
    """Give the weight at the start of each block to its voxels, by the window along each axis."""
    for dim, window in enumerate(windows):
        first, *others = window.tolist()
        spread, n = at_start * first, at_start.shape[dim]
        for voxel, fraction in enumerate(others, 1):
            spread.narrow(dim, voxel, n - voxel).add_(at_start.narrow(dim, 0, n - voxel), alpha=fraction)
        at_start = spread
    return at_start
