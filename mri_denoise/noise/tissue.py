"""Measure the level of the noise in tissue, as a smooth map.

All blocks hold noise, and some of them hold texture. The level is therefore the lower edge of the blocks' variances
(:mod:`mri_denoise.noise.lower_edge`). It is lowered further if the variances start gently: if no two blocks agree, all
of them hold texture. The same is done in windows over the image. A window departs from its wider surroundings only by
more than its own scatter explains, so that an even level stays even.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mri_denoise.noise.detail import DetailBlocks
from mri_denoise.noise.lower_edge import BINS, lower_edges, variance_bins
from mri_denoise.noise.rician import MEAN_TABLE, STD_TABLE, chi_moments

QUANTILES = (0.1, 0.3)
_WHITE = 1 / 0.907  # level / lower edge of noise alone, by simulation with 8 to 28 degrees of freedom
_SHARP = 1.045  # ratio of the two quantiles of noise alone
_LEAST = 60  # blocks: there is no estimate from fewer
_WINDOWS = (8.0, 4.0, 2.0, 2.0)  # standard deviations of the windows, in blocks of 6 voxels of the acquired matrix
_UP, _DOWN = 1.5, 0.5  # weight of a gentle start as a doubt about a level above and below its surroundings
_SIGNALS = np.linspace(0, 40, 801)  # divided by sigma
_SCATTER = 0.3  # standard deviation of the logarithm of a window's level, times the root of its number of blocks


@dataclass(frozen=True, kw_only=True)
class Edge:
    """The lower edge of the variances of blocks.

    Args:
        level: standard deviation of the noise, in the units of the blocks; NaN if there are too few blocks.
        breadth: 1 if noise alone explains the scatter of the variances; above 1 for texture or uneven noise.
    """

    level: np.ndarray
    breadth: np.ndarray


def find_edge(counts: np.ndarray, freedom: float, reference: float) -> Edge:
    """Find level and breadth from a histogram of variances.

    Args:
        counts: (..., :data:`~mri_denoise.noise.lower_edge.BINS`) blocks in each bin.
        freedom: degrees of freedom of a variance.
        reference: variance to which the bins are relative.
    """
    low, high = np.moveaxis(lower_edges(counts, freedom, QUANTILES), -1, 0)
    level = np.sqrt(reference) * low * np.sqrt(low / high) * _WHITE
    return Edge(level=level, breadth=np.maximum(high / low / _SHARP, 1))


def fine_coefficients(blocks: DetailBlocks, spectrum: np.ndarray) -> np.ndarray:
    """Choose the coefficients of the highest frequencies that hold noise.

    Args:
        blocks: of the image.
        spectrum: power of the noise in each coefficient, 1 on average.

    Returns:
        boolean, shape (E, F).
    """
    first, second = blocks.frequency()
    live = (spectrum > 0.2 * spectrum.max()) & (first < 0.999) & (second < 0.999)
    for least in (1.0, 0.85, 0.7, 0.5, 0.0):
        chosen = live & (first + second >= least - 1e-9) & (first > 0) & (second > 0)
        if chosen.sum() >= 8:
            return chosen
    return live


def whitened_variance(
    blocks: DetailBlocks, spectrum: np.ndarray, sigma: float, coils: float = 1.0
) -> tuple[np.ndarray, int]:
    """Estimate the variance of the noise in each block from its fine detail.

    Args:
        blocks: of the image.
        spectrum: power of the noise in each coefficient, 1 on average.
        sigma: a first estimate, to correct for the lower variance of the noise at low signal; 0 for none.
        coils: channels of the non-central chi distribution that the noise follows; 1 is Rice's distribution.

    Returns:
        (B,) variances, and their degrees of freedom.
    """
    chosen = fine_coefficients(blocks, spectrum)
    variance = (blocks.power[:, chosen] / spectrum[chosen].astype(np.float32)).mean(axis=1)
    if sigma > 0:
        means, spreads = (MEAN_TABLE, STD_TABLE) if coils == 1 else chi_moments(_SIGNALS, coils)
        variance = variance / np.square(np.interp(blocks.mean / sigma, means, spreads)).astype(np.float32)
    return variance, int(chosen.sum())


def global_edge(variance: np.ndarray, freedom: int) -> Edge:
    """Find the edge of all blocks together.

    Args:
        variance: (B,) of each block.
        freedom: degrees of freedom of a variance.
    """
    reference = float(np.median(variance)) if len(variance) >= _LEAST else 0.0
    if reference <= 0:
        return Edge(level=np.array(np.nan), breadth=np.array(np.nan))
    return find_edge(np.bincount(variance_bins(variance, reference), minlength=BINS), freedom, reference)


def level_map(blocks: DetailBlocks, variance: np.ndarray, freedom: int, overall: Edge) -> np.ndarray:
    """Estimate the level on a coarse grid over the image.

    Args:
        blocks: of tissue.
        variance: (B,) of each block.
        freedom: degrees of freedom of a variance.
        overall: edge of all blocks.

    Returns:
        the level at each block: float64, shape ``blocks.grid``.
    """
    reference = float(overall.level) ** 2
    logs = np.zeros(blocks.grid)  # logarithm of the local level / the overall one
    spacing = 3.0  # slices that are about as thick as a block is wide
    places = tuple(blocks.place.T)
    for window in _WINDOWS:
        counts = np.zeros((*blocks.grid, BINS), dtype=np.float32)
        np.add.at(counts, (*places, variance_bins(variance / np.exp(2 * logs[places]), reference)), 1)
        windows, centres = zip(
            *(_windows(n, window if axis < 2 else window * spacing) for axis, n in enumerate(blocks.grid)), strict=True
        )
        local = counts
        for axis, window_weights in enumerate(windows):
            local = np.moveaxis(np.tensordot(window_weights, np.moveaxis(local, axis, 0), axes=1), 0, axis)
        number = local.sum(axis=-1)
        edge = find_edge(local, freedom, reference)
        known = number >= _LEAST
        with np.errstate(divide="ignore", invalid="ignore"):
            departure = np.where(known, np.log(edge.level / float(overall.level)), 0)
            chance = _SCATTER**2 / np.maximum(number, 1)
            # a window of more scatter is less certain, at any number of blocks; texture only adds to variances
            doubt = np.log(edge.breadth) * np.where(departure > 0, _UP, _DOWN)
        if not known.any():
            continue
        error = chance + np.square(np.nan_to_num(doubt))
        weight = np.where(known, 1 / error, 0)
        spread = max(float((weight * (np.square(departure) - error)).sum() / weight.sum()), 0.0)
        gain = np.where(known, spread / (spread + error), 0)
        logs = logs + _between(np.nan_to_num(gain * departure), centres, blocks.grid)
    return float(overall.level) * np.exp(logs)


def _windows(length: int, deviation: float) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian windows along an axis: weights (windows, length), 1 at the centres, and the centres."""
    count = max(int(np.ceil(length / deviation)), 1)
    centres = (np.arange(count) + 0.5) * length / count - 0.5
    return np.exp(-0.5 * np.square((np.arange(length) - centres[:, None]) / deviation)).astype(np.float32), centres


def _between(values: np.ndarray, centres: tuple[np.ndarray, ...], grid: tuple[int, ...]) -> np.ndarray:
    """Interpolate linearly from the centres of windows to every place of a grid, constant past the last centres."""
    for axis, (centre, length) in enumerate(zip(centres, grid, strict=True)):
        place = np.interp(np.arange(length), centre, np.arange(len(centre)))
        lower = np.minimum(place.astype(int), max(len(centre) - 2, 0))
        upper = np.minimum(lower + 1, len(centre) - 1)
        weight = (place - lower).reshape([-1 if k == axis else 1 for k in range(3)])
        values = np.take(values, lower, axis) * (1 - weight) + np.take(values, upper, axis) * weight
    return values
