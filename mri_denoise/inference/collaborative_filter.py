"""A second look at a volume: collaborative Wiener filtering of like blocks, with the network's result as its pilot."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F

from mri_denoise.inference.block_matching import Axis, BlockMatching
from mri_denoise.noise.rician import rice_moments

CHUNK = 2**19  # voxels of the planes whose blocks are matched at a time
SNR_LIMIT, SNR_STEPS = 40, 20  # of the table of biases: its end, and steps in 1

_snr = np.arange(SNR_LIMIT * SNR_STEPS + 1) / SNR_STEPS
_BIAS = torch.from_numpy(rice_moments(_snr)[0] - _snr)


Blocks = Literal["cubes", "plates", "squares"]
KINDS: dict[Blocks, tuple[Axis, Axis]] = {  # within slices, and across them
    "cubes": (Axis(5, 3, 4), Axis(5, 3, 4)),
    "plates": (Axis(5, 3, 4.5), Axis(2, 1, 1.5)),
    "squares": (Axis(8, 4, 6.5), Axis(1, 1, 0.5)),
}


def filter_blocks(
    noisy: torch.Tensor,
    pilot: torch.Tensor,
    sigma: torch.Tensor,
    slice_axis: int,
    blocks: Blocks = "cubes",
    correlation: np.ndarray | None = None,
) -> torch.Tensor:
    """Filter a noisy volume with an estimate of it as the pilot that tells signal from noise.

    A network that looks at slices knows its few neighbours only, and nothing of places that look alike. Here blocks of
    voxels are each grouped with the 11 most like it nearby, as the pilot has them, and the groups transformed: the
    discrete cosine transform in space and along the group. The noisy coefficients Y become
    Y P^2 / (P^2 + 1.2 S sigma^2), P being the pilot's. S is the power of the noise in that coefficient: 1 where it is
    white; noise that is correlated in space has more in slow waves and little in fast ones. This is the second stage of
    BM4D (Maggioni et al., 2013, https://doi.org/10.1109/TIP.2012.2210725) with the network in place of its first, a
    short search, and a somewhat stronger filter, as the pilot's coefficients hold noise of their own. Blocks are put
    back and averaged, each weighted by the inverse of the noise that its filter leaves and by a Kaiser window, since a
    block's middle is known best.

    Blocks are cubes of 5 voxels, one every 3, and their like is sought up to 4 voxels away. Plates, for thick slices,
    are 5 x 5 x 2 voxels, one every 3 x 3 x 1, and sought within 4.5 voxels and the next slices; squares, for slices
    that do not belong together, 8 x 8 pixels, one every 4 and within 6.5. Where an axis is too short for one kind the
    next is taken.

    The bias of Rician noise at the pilot's signal is subtracted first. Voxels that are exactly 0 (masked air) hold no
    noise and give the filter the pilot's value; blocks of air keep the pilot; where sigma is 0 the noisy volume
    comes out.

    Args:
        noisy: shape (X, Y, Z), magnitudes.
        pilot: the same shape and scale, an estimate of the signal. **Overwritten** by the result.
        sigma: of the noise, a scalar or the volume's shape, on the same scale.
        slice_axis: across the slices.
        blocks: their kind.
        correlation: of the noise with its neighbours (:func:`~mri_denoise.noise.correlation.noise_correlation`), shape
            (3, lags); None is white noise.

    Returns:
        ``pilot``, holding the result; unchanged where slices are smaller than 8 x 8.
    """
    shape = tuple(noisy.shape)
    kind = fitting_blocks(shape, slice_axis, blocks)
    if kind is None:
        return pilot
    axes = [KINDS[kind][axis == slice_axis] for axis in range(3)]
    edge, reach = axes[0].edge, math.floor(axes[0].reach)
    like_blocks = BlockMatching(axes, shape, noisy, correlation)
    low, sums = 0, noisy.new_zeros(2, 0, *shape[1:])  # weighted values and weights of the planes from `low` on
    every, *within = (_starts(n, axis) for n, axis in zip(shape, axes, strict=True))
    count = max(CHUNK // math.prod(shape[1:]), 1)
    for planes in (every[first : first + count] for first in range(0, len(every), count)):
        bottom, top = max(planes[0] - reach, 0), min(planes[-1] + edge + reach, shape[0])
        # planes below `bottom` have got all their blocks, and no later chunk looks at them
        _put(sums[:, : bottom - low], pilot[low:bottom])
        sums = F.pad(sums[:, bottom - low :], (0, 0, 0, 0, 0, top - low - sums.shape[1]))
        low = bottom
        x, p = noisy[low:top].contiguous(), pilot[low:top].contiguous()
        if not x.any():  # nothing but masked air
            continue
        s = sigma if sigma.ndim == 0 else sigma[low:top].contiguous()
        y = torch.where(x == 0, p, x - _rician_bias(p, s))
        like_blocks.add_filtered(y, p, s, [[start - low for start in planes], *within], sums)
    _put(sums, pilot[low:])
    return pilot


def fitting_blocks(shape: tuple[int, ...], slice_axis: int, wanted: Blocks) -> Blocks | None:
    """The first kind of blocks, from the one wanted on, that a volume of this shape has room for."""
    kinds = list(KINDS)
    for kind in kinds[kinds.index(wanted) :]:
        if all(n >= KINDS[kind][axis == slice_axis].edge for axis, n in enumerate(shape)):
            return kind
    return None


def _starts(length: int, axis: Axis) -> list[int]:
    """Where blocks begin: at every step, and where the last one ends with the volume."""
    last = length - axis.edge
    return sorted({*range(0, last + 1, axis.step), last})


def _rician_bias(signal: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Mean of Rician magnitudes less their signal, from a table of :func:`~mri_denoise.noise.rician.rice_moments`."""
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
