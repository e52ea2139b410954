"""A second look at a volume: collaborative Wiener filtering of like blocks, with the network's result as its pilot."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F

from mri_denoise.like_blocks import Axis, add_filtered
from mri_denoise.rice import rice_moments

CHUNK = 2**19  # voxels of the planes whose blocks are matched at a time
SNR_LIMIT, SNR_STEPS = 40, 20  # of the table of biases: its end, and steps in 1

_snr = np.arange(SNR_LIMIT * SNR_STEPS + 1) / SNR_STEPS
_BIAS = torch.from_numpy(rice_moments(_snr)[0] - _snr)


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
        add_filtered(y, p, s, axes, [planes - low, *every[1:]], sums)
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
