"""The level of the noise in tissue, as a smooth map.

Noise is everywhere; texture is somewhere. The level is therefore the lower edge of the blocks' variances
(:mod:`mri_denoise.noise.lower_edge`), lowered further by how gently they start: where no two blocks agree, there is
texture in all of them. The same is done in windows over the image, and a window departs from its wider surroundings as
far as its own scatter allows, so that an even level stays even.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mri_denoise.noise.detail import DetailBlocks
from mri_denoise.noise.lower_edge import BINS, lower_edges, variance_bins
from mri_denoise.noise.rician import MEAN_TABLE, STD_TABLE, chi_moments

SHARES = (0.1, 0.3)
_WHITE = 1 / 0.907  # of the lower edge of noise alone, by simulation with 8 to 28 degrees of freedom
_SHARP = 1.045  # what the two quantiles of noise alone differ by
_LEAST = 60  # blocks, below which there is no estimate
_WINDOWS = (8.0, 4.0, 2.0, 2.0)  # standard deviations of the windows, in blocks of 6 measured voxels
_UP, _DOWN = 1.5, 0.5  # how far a gentle start makes a level above and below the surroundings doubtful
_SIGNALS = np.linspace(0, 40, 801)  # by sigma
_SCATTER = 0.3  # standard deviation of the logarithm of a window's level, times the root of its number of blocks


@dataclass(frozen=True, kw_only=True)
class Edge:
    """Lower edge of blocks' variances.

    Args:
        level: standard deviation of the noise, the units of the blocks; NaN where there are too few blocks.
        breadth: 1 where noise alone explains how variances scatter; more where texture or uneven noise does.
    """

    level: np.ndarray
    breadth: np.ndarray


def find_edge(counts: np.ndarray, freedom: float, reference: float) -> Edge:
    """Level and breadth from counts of variances.

    Args:
        counts: (..., :data:`~mri_denoise.noise.lower_edge.BINS`) blocks in each bin.
        freedom: degrees of freedom of a variance.
        reference: variance that the bins are relative to.
    """
    low, high = np.moveaxis(lower_edges(counts, freedom, SHARES), -1, 0)
    level = np.sqrt(reference) * low * np.sqrt(low / high) * _WHITE
    return Edge(level=level, breadth=np.maximum(high / low / _SHARP, 1))


def fine_coefficients(blocks: DetailBlocks, spectrum: np.ndarray) -> np.ndarray:
    """The finest coefficients that hold noise: boolean, shape (E, F).

    Args:
        blocks: of the image.
        spectrum: power of the noise in each coefficient, 1 on average.
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
    """Variance of the noise in each block as its fine detail tells it, and the degrees of freedom.

    Args:
        blocks: of the image.
        spectrum: power of the noise in each coefficient, 1 on average.
        sigma: a first estimate, which the lower variance of the noise at low signal is corrected with; 0 for none.
        coils: channels of the noncentral chi law that the noise follows; 1 is Rice's.
    """
    chosen = fine_coefficients(blocks, spectrum)
    variance = (blocks.power[:, chosen] / spectrum[chosen].astype(np.float32)).mean(axis=1)
    if sigma > 0:
        means, spreads = (MEAN_TABLE, STD_TABLE) if coils == 1 else chi_moments(_SIGNALS, coils)
        variance = variance / np.square(np.interp(blocks.mean / sigma, means, spreads)).astype(np.float32)
    return variance, int(chosen.sum())


def global_edge(variance: np.ndarray, freedom: int) -> Edge:
    """Edge of all blocks together."""
    reference = float(np.median(variance)) if len(variance) >= _LEAST else 0.0
    if reference <= 0:
        return Edge(level=np.array(np.nan), breadth=np.array(np.nan))
    return find_edge(np.bincount(variance_bins(variance, reference), minlength=BINS), freedom, reference)


def level_map(blocks: DetailBlocks, variance: np.ndarray, freedom: int, overall: Edge) -> np.ndarray:
    """Level on a coarse grid over the image.

    Args:
        blocks: of tissue.
        variance: (B,) of each.
        freedom: degrees of freedom of a variance.
        overall: edge of all of them.

    Returns:
        float64, shape ``blocks.grid``: the level at each block.
    """
    reference = float(overall.level) ** 2
    logs = np.zeros(blocks.grid)  # of the level by the overall one
    spacing = 3.0  # slices of a block's size along the third axis, about
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
            # a window in which variances scatter more says less, however many they are; texture only adds to them
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
    """Gaussian windows along an axis: weights (windows, length), 1 at their centres, and where these are."""
    count = max(int(np.ceil(length / deviation)), 1)
    centres = (np.arange(count) + 0.5) * length / count - 0.5
    return np.exp(-0.5 * np.square((np.arange(length) - centres[:, None]) / deviation)).astype(np.float32), centres


def _between(values: np.ndarray, centres: tuple[np.ndarray, ...], grid: tuple[int, ...]) -> np.ndarray:
    """Linear interpolation from the centres of windows to every place of a grid, constant past the last centres."""
    for axis, (centre, length) in enumerate(zip(centres, grid, strict=True)):
        place = np.interp(np.arange(length), centre, np.arange(len(centre)))
        lower = np.minimum(place.astype(int), max(len(centre) - 2, 0))
        upper = np.minimum(lower + 1, len(centre) - 1)
        share = (place - lower).reshape([-1 if k == axis else 1 for k in range(3)])
        values = np.take(values, lower, axis) * (1 - share) + np.take(values, upper, axis) * share
    return values
