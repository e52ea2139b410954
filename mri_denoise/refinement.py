"""A second look at a volume: collaborative Wiener filtering of like blocks, with the network's result as its pilot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.fft import dct

from mri_denoise.rice import rice_moments

GROUP = 16  # blocks that are filtered together
SHRINKAGE = 1.4  # times the noise's power in the filter's gain
AIR = 0.5  # sigma: blocks whose mean in the pilot is below it stay as they are
CHUNK = 2**19  # voxels of the planes whose blocks are matched at a time
BATCH = 1024  # groups that are filtered at a time
SNR_LIMIT, SNR_STEPS = 40, 20  # of the table of biases: its end, and steps in 1

_snr = np.arange(SNR_LIMIT * SNR_STEPS + 1) / SNR_STEPS
_BIAS = torch.from_numpy(rice_moments(_snr)[0] - _snr)


class Axis(NamedTuple):
    """How blocks lie along an axis."""

    edge: int  # voxels of a block
    step: int  # from one to the next
    reach: int  # that a block's like may be off


Blocks = Literal["cubes", "plates", "squares"]
KINDS: dict[Blocks, tuple[Axis, Axis]] = {  # within slices, and across them
    "cubes": (Axis(4, 3, 2), Axis(4, 3, 2)),
    "plates": (Axis(5, 4, 3), Axis(2, 1, 1)),
    "squares": (Axis(8, 5, 4), Axis(1, 1, 0)),
}


def refine(
    noisy: torch.Tensor,
    pilot: torch.Tensor,
    sigma: torch.Tensor,
    slice_axis: int | None = None,
    blocks: Blocks = "cubes",
) -> torch.Tensor:
    """Filter a noisy volume with an estimate of it as the pilot that tells signal from noise.

    A network that looks at slices knows its few neighbours only, and nothing of places that look alike. Here blocks of
    voxels are each grouped with the 15 most like it nearby, as the pilot has them, and the groups transformed: the
    discrete cosine transform in space and along the group. The noisy coefficients Y become
    Y P^2 / (P^2 + 1.4 sigma^2), P being the pilot's. This is the second stage of BM4D (Maggioni et al., 2013,
    https://doi.org/10.1109/TIP.2012.2210725) with the network in place of its first, a short search, and a somewhat
    stronger filter, as the pilot's coefficients hold noise of their own. Blocks are put back and averaged, each
    weighted by the inverse of its filter's power.

    Blocks are cubes of 4 voxels, one every 3, and their like is sought within 2 voxels in each direction; plates, for
    thick slices, are 5 x 5 x 2 voxels, one every 4 x 4 x 1 and within 3 x 3 x 1; squares, for slices that do not belong
    together, 8 x 8 pixels, one every 5 and within 4. Where an axis is too short for one kind the next is taken.

    The bias of Rician noise at the pilot's signal is subtracted first. Voxels that are exactly 0 (masked air) hold no
    noise and give the filter the pilot's value; blocks of air keep the pilot; where sigma is 0 the noisy volume
    comes out.

    Args:
        noisy: shape (X, Y, Z), magnitudes.
        pilot: the same shape and scale, an estimate of the signal. **Overwritten** by the result.
        sigma: of the noise, a scalar or the volume's shape, on the same scale.
        slice_axis: across the slices; the shortest by default.
        blocks: their kind.

    Returns:
        ``pilot``, holding the result; unchanged where slices are smaller than 8 x 8.
    """
    shape = tuple(noisy.shape)
    across = shape.index(min(shape)) if slice_axis is None else slice_axis
    kind = fitting_blocks(shape, across, blocks)
    if kind is None:
        return pilot
    axes = [KINDS[kind][axis == across] for axis in range(3)]
    edge, _, reach = axes[0]
    low, sums = 0, noisy.new_zeros(2, 0, *noisy.shape[1:])  # weighted values and weights of the planes from `low` on
    every = [_starts(n, axis).to(noisy.device) for n, axis in zip(noisy.shape, axes, strict=True)]
    for planes in every[0].split(max(CHUNK // noisy[0].numel(), 1)):
        bottom, top = max(int(planes[0]) - reach, 0), min(int(planes[-1]) + edge + reach, noisy.shape[0])
        # planes below `bottom` have got all their blocks, and no later chunk looks at them
        _put(sums[:, : bottom - low], pilot[low:bottom])
        sums = F.pad(sums[:, bottom - low :], (0, 0, 0, 0, 0, top - low - sums.shape[1]))
        low = bottom
        x, p = noisy[low:top].contiguous(), pilot[low:top].contiguous()
        if not x.any():  # nothing but masked air
            continue
        s = sigma if sigma.ndim == 0 else sigma[low:top].contiguous()
        y = torch.where(x == 0, p, x - _rician_bias(p, s))
        _filter(y, p, s, axes, [planes - low, *every[1:]], sums)
    _put(sums, pilot[low:])
    return pilot


def fitting_blocks(shape: tuple[int, ...], slice_axis: int, wanted: Blocks) -> Blocks | None:
    """The first kind of blocks, from the one wanted on, that a volume of this shape has room for."""
    kinds = list(KINDS)
    for kind in kinds[kinds.index(wanted) :]:
        if all(n >= KINDS[kind][axis == slice_axis].edge for axis, n in enumerate(shape)):
            return kind
    return None


def _starts(length: int, axis: Axis) -> torch.Tensor:
    """Where blocks begin: at every step, and where the last one ends with the volume."""
    last = length - axis.edge
    return torch.tensor(sorted({*range(0, last + 1, axis.step), last}))


def _rician_bias(signal: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Mean of Rician magnitudes less their signal, from a table of :func:`~mri_denoise.rice.rice_moments`."""
    snr = signal.clamp_min(0) / sigma.clamp_min(1e-12)
    place = snr.clamp_max(SNR_LIMIT) * SNR_STEPS
    below = place.floor().clamp_max(SNR_LIMIT * SNR_STEPS - 1)
    index, share = below.long(), place - below
    table = _BIAS.to(signal)
    beyond = (SNR_LIMIT / snr).clamp_max(1)  # where the bias goes as 1 / SNR
    return sigma * torch.lerp(table[index], table[index + 1], share) * beyond


def _put(sums: torch.Tensor, pilot: torch.Tensor) -> None:
    """Overwrite planes by their weighted means; where there was no block they stay."""
    values, weights = sums
    torch.where(weights > 0, values / weights.clamp_min(1e-20), pilot, out=pilot)


def _filter(
    y: torch.Tensor,
    p: torch.Tensor,
    sigma: torch.Tensor,
    axes: Sequence[Axis],
    grid: Sequence[torch.Tensor],
    sums: torch.Tensor,
) -> None:
    """Add the filtered groups of these planes' blocks to ``sums``, shape (2, X, Y, Z): weighted values, and weights."""
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
