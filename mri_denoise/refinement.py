"""A second look at a volume, in three dimensions: an empirical Wiener filter with the network's result as its pilot."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy.fft import dct

from mri_denoise.rice import rice_moments

EDGE = 8  # voxels along a side of a block
CHUNK = 2**20  # voxels at a time, more or less
SNR_LIMIT, SNR_STEPS = 40, 20  # of the table of biases: its end, and steps in 1

_snr = np.arange(SNR_LIMIT * SNR_STEPS + 1) / SNR_STEPS
_BIAS = torch.from_numpy(rice_moments(_snr)[0] - _snr)


def refine(
    noisy: torch.Tensor,
    pilot: torch.Tensor,
    sigma: torch.Tensor,
    blocked: Sequence[bool] = (True, True, True),
    weight: float = 0.4,
) -> torch.Tensor:
    """Mix an estimate with the empirical Wiener filter of the noisy volume in which that estimate stands for the truth.

    A network that looks at slices uses what lies beyond its few neighbours only a little; blocks of 8 x 8 x 8 voxels
    use all three directions alike. In each block's discrete cosine transform the noisy coefficients Y become
    Y P^2 / (P^2 + sigma^2), P being the pilot's: the second stage of BM3D and BM4D without their matching of blocks
    (Dabov et al., 2007, https://doi.org/10.1109/TIP.2007.901238, section 3.3; Maggioni et al., 2013,
    https://doi.org/10.1109/TIP.2012.2210725). Overlapping blocks are averaged, each weighted by the inverse of its
    filter's power. The errors of filter and network differ, so a mixture is better than either.

    The bias of Rician noise at the pilot's signal is subtracted first. Voxels that are exactly 0 (masked air) hold no
    noise and give the filter the pilot's value; where sigma is 0 everywhere the noisy volume is what the filter gives.

    Args:
        noisy: shape (X, Y, Z), magnitudes.
        pilot: the same shape and scale, an estimate of the signal. **Overwritten** by the result.
        sigma: of the noise, a scalar or the volume's shape, on the same scale.
        blocked: which axes blocks extend along; False for an axis whose neighbours do not belong together.
        weight: share of the Wiener filter in the result, 0 to 1.

    Returns:
        ``pilot``, holding the result.
    """
    edges = [EDGE if use and n >= EDGE // 2 else 1 for use, n in zip(blocked, noisy.shape, strict=True)]
    transform = _transform(edges).to(noisy)
    pads = [(EDGE // 2, EDGE // 2 + -n % EDGE) if e > 1 else (0, 0) for e, n in zip(edges, noisy.shape, strict=True)]
    flat = (*pads[2], *pads[1], 0, 0)  # along the first axis by index, as volumes go through in chunks

    def pad(volume: torch.Tensor) -> torch.Tensor:
        return F.pad(volume[None], flat, mode="replicate")[0]

    reach = EDGE // 2 if edges[0] > 1 else 0
    length = noisy.shape[0]
    step = max(CHUNK // (noisy[0].numel() * EDGE), 1) * EDGE
    behind = pilot[:0]
    for start in range(0, length, step):
        stop = min(start + step, length + (-length % EDGE if reach else 0))
        index = torch.arange(start - reach, stop + reach, device=noisy.device).clamp(0, length - 1)
        # the slices before this chunk were overwritten: the pilot's own are kept
        p = pilot[index]
        if start and reach:
            p[:reach] = behind
        end = min(stop, length)
        behind = pilot[end - reach : end].clone() if reach else behind
        x = noisy[index]
        if not x.any():  # nothing but masked air
            continue
        s = sigma if sigma.ndim == 0 else sigma[index]
        y = torch.where(x == 0, p, x - _rician_bias(p, s))
        filtered = _filter(pad(y), pad(p), s if s.ndim == 0 else pad(s), edges, transform)
        inside = filtered[reach:, pads[1][0] :, pads[2][0] :][: end - start, : noisy.shape[1], : noisy.shape[2]]
        pilot[start:end] += weight * (inside - pilot[start:end])
    return pilot


def _transform(edges: Sequence[int]) -> torch.Tensor:
    """The orthonormal cosine transform of a flattened block, as a matrix."""
    matrix = torch.ones(1, 1, dtype=torch.float64)
    for edge in edges:
        matrix = torch.kron(
            matrix, torch.from_numpy(dct(torch.eye(edge, dtype=torch.float64).numpy(), norm="ortho", axis=0))
        )
    return matrix


def _rician_bias(signal: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Mean of Rician magnitudes less their signal, from a table of :func:`~mri_denoise.rice.rice_moments`."""
    place = (signal / sigma.clamp_min(1e-12)).clamp(0, SNR_LIMIT) * SNR_STEPS
    below = place.floor().clamp_max(SNR_LIMIT * SNR_STEPS - 1)
    index, share = below.long(), place - below
    table = _BIAS.to(signal)
    return sigma * torch.lerp(table[index], table[index + 1], share)


def _filter(
    y: torch.Tensor, p: torch.Tensor, sigma: torch.Tensor, edges: Sequence[int], transform: torch.Tensor
) -> torch.Tensor:
    """The Wiener filter of ``y``, blocks at every half edge; all of one shape, a multiple of the blocks'."""
    total, weights = torch.zeros_like(y), torch.zeros_like(y)
    for offsets in _offsets(edges):
        extents = [n - 2 * o for n, o in zip(y.shape, offsets, strict=True)]
        if min(extents) < 1:
            continue
        where = tuple(slice(o, o + n) for o, n in zip(offsets, extents, strict=True))
        grid = [n // e for n, e in zip(extents, edges, strict=True)]
        coefficients = _to_blocks(y[where], grid, edges) @ transform.T
        gain = (_to_blocks(p[where], grid, edges) @ transform.T).square_()
        noise = (
            sigma.square() if sigma.ndim == 0 else _to_blocks(sigma[where], grid, edges).square().mean(1, keepdim=True)
        )
        gain /= gain + noise.clamp_min(1e-20)
        weight = 1 / gain.square().sum(dim=1, keepdim=True).clamp_min(1e-3)
        estimate = ((coefficients * gain) @ transform) * weight
        total[where] += _from_blocks(estimate, grid, edges)
        weights[where] += _from_blocks(weight.expand(-1, math.prod(edges)), grid, edges)
    return total / weights


def _offsets(edges: Sequence[int]) -> list[tuple[int, ...]]:
    """Where the grids of blocks begin: in three dimensions half of the eight, each next to none of the others."""
    every = itertools.product(*((0, EDGE // 2) if e > 1 else (0,) for e in edges))
    return [o for o in every if min(edges) == 1 or sum(o) % EDGE == 0]


def _to_blocks(volume: torch.Tensor, grid: Sequence[int], edges: Sequence[int]) -> torch.Tensor:
    """Shape (X, Y, Z) to (blocks, voxels of a block)."""
    (a, b, c), (i, j, k) = grid, edges
    return volume.reshape(a, i, b, j, c, k).permute(0, 2, 4, 1, 3, 5).reshape(a * b * c, i * j * k)


def _from_blocks(blocks: torch.Tensor, grid: Sequence[int], edges: Sequence[int]) -> torch.Tensor:
    """Shape (blocks, voxels of a block) to (X, Y, Z)."""
    (a, b, c), (i, j, k) = grid, edges
    return blocks.reshape(a, b, c, i, j, k).permute(0, 3, 1, 4, 2, 5).reshape(a * i, b * j, c * k)
