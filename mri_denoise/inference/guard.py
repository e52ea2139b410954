"""Give back what was removed and cannot be noise: whatever stands out of the residual, at any place and scale.

A denoiser should remove noise alone. The residual (input minus bias minus result) of a small lesion or vessel that was
smoothed away is no noise: it is too large for a voxel, or for the mean over some voxels. So the residual is averaged
over boxes of several widths, and over lines along each axis, as vessels need that cross the slices. Each mean is
divided by the standard deviation that noise would give it, and where the quotient exceeds a threshold, that mean is
added to the result again.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from scipy.special import chndtrix, gamma, hyp1f1, ndtr

from mri_denoise.noise.rician import rice_moments
from mri_denoise.sampling import sample_step
from mri_denoise.threads import run_in_threads

THRESHOLD = 5.0  # standard deviations; at 4.5 some thirty voxels of noise in a head came back as bright dots
Box = tuple[int, int, int]  # 1, 3 or 6 voxels along each axis
_BOXES: tuple[Box, ...] = ((1, 1, 1), (3, 3, 3), (6, 6, 6), (6, 1, 1), (1, 6, 1), (1, 1, 6))
_STRICTER = 0.5  # standard deviations more for lines: there are as many of them as voxels, along three axes
_RAMP = 0.5  # standard deviations above the threshold from which the whole mean comes back
_CHUNK = 3 * 2**18  # voxels of a piece, without its halo
_TOGETHER = 2**22  # voxels that pieces may have together, or a quarter of the volume: fifteen copies are made of them
_HALO = 8  # planes that reach a plane through all widths, and a multiple of 2
_MOST, _STEPS = 20, 20  # of the tables: the largest signal / sigma, and steps in 1
_BRIGHT = 3.0  # signal / sigma above which a voxel counts as tissue
_SHORT = 16  # voxels of an axis whose boxes are told apart; even
_LEAST = 1000  # voxels of tissue that tell the spread of the residual
_SAMPLE = 2**18  # voxels among which tissue is looked for
_QUARTILE = 0.6744897501960817  # upper quartile of the normal distribution


def return_signal(
    noisy: torch.Tensor,
    result: torch.Tensor,
    sigma: torch.Tensor,
    correlation: np.ndarray | None = None,
    threshold: float = THRESHOLD,
    *,
    lowest: float = -math.inf,
    changed: torch.Tensor | None = None,
) -> int:
    """Add to a result what was removed and is no noise.

    Rician noise is skew at low signal. The limits of single voxels are therefore the quantiles of Rice's distribution
    that a normal one has at ``threshold``, and those of means follow from its skewness (Cornish and Fisher, 1938,
    https://doi.org/10.2307/1400905). Where the noise is stronger than ``sigma`` says, as told by the median absolute
    residual in tissue, the limits are wider.

    Args:
        noisy: magnitudes, shape (X, Y, Z).
        result: the denoised signal, of the same shape and unit. **Changed** where something comes back.
        sigma: standard deviation of the noise: a scalar, or one value for each voxel. Where it is 0, nothing changes.
        correlation: of the noise with its neighbours, shape (3, lags), from 1 at lag 0; None is white noise.
        threshold: in standard deviations. For normal noise that was removed whole, 6 voxels in ten million exceed 5.
        lowest: what is below becomes this value in the end, so that a change there is none.
        changed: of the same shape, 0; becomes 1 where a voxel changed.

    Returns:
        the number of voxels that changed.

    Examples:
        >>> noisy = torch.full((16, 16, 16), 100.0) + torch.randn(16, 16, 16, generator=torch.manual_seed(0))
        >>> noisy[8, 8, 8] = 120
        >>> result = torch.full((16, 16, 16), 100.0)
        >>> return_signal(noisy, result, torch.tensor(1.0)), round(float(result[8, 8, 8]))
        (1, 120)
    """
    if not noisy.numel() or not bool((sigma > 0).any()):
        return 0
    rows = np.ones((3, 1)) if correlation is None else correlation
    before = result.clone()
    step, at_most = _plan(noisy)
    spread = _spread(noisy, before, sigma)

    def return_to(low: int) -> int:
        bottom, top = max(low - _HALO, 0), min(low + step + _HALO, len(noisy))
        level = sigma if sigma.ndim == 0 else sigma[bottom:top]
        added = _significant(noisy[bottom:top], before[bottom:top], level * spread, rows, threshold)
        if added is None:
            return 0
        inner = added[low - bottom : low - bottom + step]
        old = before[low : low + step]
        # no signal is negative; what was stays
        new = torch.where(inner != 0, torch.maximum(old + inner, old.clamp_max(0)), old)
        differs = new.clamp_min(lowest) != old.clamp_min(lowest)
        result[low : low + step] = new
        if changed is not None:
            changed[low : low + step] = differs
        return int(torch.count_nonzero(differs))

    return sum(run_in_threads(return_to, range(0, len(noisy), step), at_most))


def _plan(volume: torch.Tensor) -> tuple[int, int]:
    """Planes of a piece, and how many pieces may be looked at together.

    The planes are even, and about as many in each piece, so that threads end together.
    """
    plane = math.prod(volume.shape[1:])
    count = -(-len(volume) // max(_CHUNK // plane, 2 * _HALO))
    step = -(-len(volume) // count // 2) * 2
    if volume.device.type != "cpu":
        return step, 1
    voxels = max(_TOGETHER, volume.numel() // 4)
    return step, max(voxels // ((step + 2 * _HALO) * plane), 1)


def _spread(noisy: torch.Tensor, result: torch.Tensor, sigma: torch.Tensor) -> float:
    """Standard deviation of the residual in tissue in units of sigma, by the median; at least 1.

    A shift of all tissue is no noise.
    """
    every = sample_step(result.numel(), _SAMPLE)
    noisy, result, sigma = (volume.expand(result.shape).reshape(-1)[::every] for volume in (noisy, result, sigma))
    tissue = (result > _BRIGHT * sigma) & (sigma > 0)
    if int(tissue.sum()) < _LEAST:
        return 1.0
    residual = (noisy - result)[tissue] / sigma[tissue]
    return max(float((residual - residual.median()).abs().median()) / _QUARTILE, 1.0)


def _significant(
    noisy: torch.Tensor, result: torch.Tensor, sigma: torch.Tensor, rows: np.ndarray, threshold: float
) -> torch.Tensor | None:
    """What comes back, in the shape of the image; None for nothing."""
    level = sigma.clamp_min(1e-12)
    place = (result / level).mul_(_STEPS).clamp_(0, _MOST * _STEPS).round_().int()
    bias, spread, skew = (_at(table, place, level) for table in _moments())
    left = (noisy - result).sub_(bias.mul_(level))
    scale = spread.mul_(level)
    # masked voxels and those without noise hold nothing that was removed
    left.div_(scale).masked_fill_((noisy == 0) | (sigma <= 0), 0)
    del bias, spread
    total: torch.Tensor | None = None
    for box in _BOXES:
        deviation = _deviations(rows, left, box)
        if max(box) == 1:
            quotient = left
            low, high = (_at(table, place, level) for table in _limits(threshold))
            beyond = torch.maximum(quotient - high, low.sub_(quotient), out=high)
            del place, low, high
        else:  # the skewness of a mean falls with the root of the number of voxels
            quotient = _box_mean(left, box).div_(deviation)
            limit = threshold + _STRICTER * (min(box) == 1)
            bend = (_pool(skew, box) * deviation).mul_((limit**2 - 1) / 6)
            beyond = torch.sub(quotient, bend, out=bend).abs_().sub_(limit)
            del bend
        if bool((beyond > 0).any()):
            share = _box_most(beyond.div_(_RAMP).clamp_(0, 1), box)
            means = quotient * deviation
            # half of it sharp where boxes are small, for their means blur the edges of what comes back
            back = _grow(share * (torch.lerp(means, left, 0.5) if max(box) == 3 else means), left.shape, box)
            left = left - back
            total = back if total is None else total + back
    return None if total is None else total * scale


def _deviations(rows: np.ndarray, like: torch.Tensor, box: Box) -> torch.Tensor:
    """Standard deviation of the mean over each box of noise with that correlation, in units of that of a voxel.

    It is the product of three factors, one an axis; boxes at the border are smaller. The shape fits the boxes.
    """
    product = torch.ones(1, 1, 1).to(like)
    for axis, (row, length, width) in enumerate(zip(rows, like.shape, box, strict=True)):
        factors = torch.from_numpy(np.sqrt(_variances(row, length, width))).to(like)
        product = product * factors.reshape([-1 if a == axis else 1 for a in range(3)])
    return product


def _variances(row: np.ndarray, length: int, width: int) -> np.ndarray:
    """Variance of each box's mean along an axis."""
    short = length if length <= _SHORT else _SHORT + length % 2  # boxes in the middle are all alike
    lags = np.abs(np.subtract.outer(np.arange(short), np.arange(short)))
    covariance = np.pad(row, (0, short))[lags]
    cells = np.eye(short)
    if width == 6:
        cells = np.array([cells[i : i + 2].mean(axis=0) for i in range(0, short, 2)])
    if width > 1:
        cells = np.array([cells[max(i - 1, 0) : i + 2].mean(axis=0) for i in range(len(cells))])
    found: np.ndarray = np.einsum("ij,jk,ik->i", cells, covariance, cells)
    more = (length - short) // (2 if width == 6 else 1)
    middle = len(found) // 2
    return np.concatenate((found[:middle], np.repeat(found[middle], more), found[middle:]))


def _pool(values: torch.Tensor, box: Box) -> torch.Tensor:
    """Means of two voxels along each axis where the box has 6, which is then one of 3; the volume itself otherwise."""
    if max(box) < 6:
        return values
    kernel = [min(2, n) if width == 6 else 1 for n, width in zip(values.shape, box, strict=True)]
    return F.avg_pool3d(values[None, None], kernel, ceil_mode=True, count_include_pad=False)[0, 0]


def _grow(values: torch.Tensor, shape: tuple[int, ...], box: Box) -> torch.Tensor:
    """The inverse of :func:`_pool`: each value for all of its voxels."""
    for axis, (n, width) in enumerate(zip(shape, box, strict=True)):
        if width == 6 and n > 1:
            values = values.repeat_interleave(2, axis).narrow(axis, 0, n)
    return values


def _box_mean(values: torch.Tensor, box: Box) -> torch.Tensor:
    """Mean over a box around each voxel, pooled along axes where it has 6; boxes are cut at the border."""
    values = _pool(values, box)
    for axis in _long(box):
        n = values.shape[axis]
        count = torch.full((n,), 3.0).to(values)
        count[0], count[-1] = 2, 2
        sums = values.clone()
        sums.narrow(axis, 1, n - 1).add_(values.narrow(axis, 0, n - 1))
        sums.narrow(axis, 0, n - 1).add_(values.narrow(axis, 1, n - 1))
        values = sums.div_(count.clamp_max(n).reshape([-1 if a == axis else 1 for a in range(3)]))
    return values


def _box_most(values: torch.Tensor, box: Box) -> torch.Tensor:
    """Largest value in the box around each voxel."""
    for axis in _long(box):
        n = values.shape[axis]
        most = values.clone()  # one axis after the other: a third of the time of a pool over all
        for to, start in ((1, 0), (0, 1)):
            here = most.narrow(axis, to, n - 1)
            torch.maximum(here, values.narrow(axis, start, n - 1), out=here)
        values = most
    return values


def _long(box: Box) -> list[int]:
    """The axes along which a box has more than one voxel."""
    return [axis for axis, width in enumerate(box) if width > 1]


@cache
def _moments() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bias, standard deviation and skewness of magnitudes with sigma 1, at signals from 0 to :data:`_MOST`."""
    signal = np.arange(_MOST * _STEPS + 1) / _STEPS
    mean, spread = rice_moments(signal)
    third = 2**1.5 * gamma(2.5) * hyp1f1(-1.5, 1, -np.square(signal) / 2)
    skew = (third - 3 * mean * (spread**2 + mean**2) + 2 * mean**3) / spread**3
    return mean - signal, spread, np.where(signal < 10, skew, 0)  # beyond, it is lost in rounding


@cache
def _limits(threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Quantiles of magnitudes at a threshold of the normal distribution, less their mean, by standard deviation."""
    signal = np.arange(_MOST * _STEPS + 1) / _STEPS
    mean, spread = rice_moments(signal)
    # the square of a magnitude follows the noncentral chi-square distribution with two degrees of freedom
    low, high = (np.sqrt(chndtrix(ndtr(side * threshold), 2, np.square(signal))) for side in (-1, 1))
    return (low - mean) / spread, (high - mean) / spread


def _at(table: np.ndarray, place: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Values of a table, in the shape of the places."""
    values = torch.from_numpy(table).to(like)
    return values.index_select(0, place.reshape(-1)).reshape(place.shape)
