"""Measure the noise in tissue and in air, and weigh the two measurements.

Tissue shows the noise where it matters, and how it varies in space, but texture adds to it. Air has no texture, but is
often suppressed, filtered or combined in another way than the tissue. Where the two differ, the agreement among the
blocks of tissue decides: noise is the same in all of them, texture is not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mri_denoise.noise.blocks import middle_slices
from mri_denoise.noise.detail import DetailBlocks, cut_detail
from mri_denoise.noise.floor import dark_level
from mri_denoise.noise.spectrum import correlation_spectrum, noise_spectrum
from mri_denoise.noise.tissue import Edge, global_edge, level_map, whitened_variance

Source = Literal["air", "tissue", "air and tissue", "none"]

_TISSUE = 0.15  # times the mean of the bright blocks: blocks with a higher mean hold tissue
_FEW = 100  # blocks of tissue: fewer are not enough
_UNEVEN = 1.15  # 98th divided by 2nd percentile of the level in tissue, below which the level is even
_AGREE = 1.25  # level in uneven tissue divided by that of the air, below which the two agree
_SHARP = 1.08  # breadth of the variances in tissue that holds noise alone
# breadths from none to full trust in depth, in air that is pure noise, in air that looks like noise, and in any air
_REPEATS, _PURE, _TEXTURED, _DARK = (_SHARP, 1.32), (1.1, 1.3), (1.2, 1.45), (1.35, 1.65)
_LOWEST = 3.0  # factor by which the air lowers the level at most
_DEPTH_VOXELS = 3_000_000  # of the slices in which depth is measured


@dataclass(frozen=True, kw_only=True)
class Tissue:
    """The noise in the tissue of a volume, in the unit of the slices.

    Args:
        blocks: of the whole image.
        inside: the blocks of tissue.
        edge: of their variances, relative to the local level.
        level: of the noise, shape ``blocks.grid``.
        spectrum: power of the noise in each coefficient of a block, 1 on average.
    """

    blocks: DetailBlocks
    inside: DetailBlocks
    edge: Edge
    level: np.ndarray
    spectrum: np.ndarray

    def levels(self) -> np.ndarray:
        """Return the level at each block of tissue."""
        return self.level[tuple(self.inside.place.T)]


def measure_tissue(
    slices: np.ndarray, coverage: Sequence[float], rows: np.ndarray | None = None, coils: float = 1.0
) -> Tissue | None:
    """Measure the level of the noise in tissue, as a map, and its spectrum.

    Args:
        slices: magnitudes, shape (X, Y, slices).
        coverage: fraction of k-space that was acquired along the two axes of a slice.
        rows: correlation of the noise along these axes, (2, lags), if it was measured in the air.
        coils: channels of the non-central chi distribution; 1 is Rice's distribution.

    Returns:
        the measurement; None if there is too little tissue.
    """
    blocks = cut_detail(slices, coverage)
    if blocks is None:
        return None
    bright = float(np.percentile(blocks.mean, 95))
    # the mean of the noise of many coils is several sigma, and it is not tissue
    least = max(_TISSUE * bright, min(2 * float(np.percentile(blocks.mean, 5)), 0.4 * bright))
    wanted, level = max(2 * _TISSUE * bright, least), 0.0
    for _ in range(2):
        inside = blocks.chosen(blocks.mean > wanted)
        if len(inside.mean) < _FEW:
            return None
        spectrum = noise_spectrum(inside) if rows is None else correlation_spectrum(rows, blocks)
        variance, freedom = whitened_variance(inside, spectrum, level, coils)
        edge = global_edge(variance, freedom)
        level = float(edge.level)
        if not level > 0:
            return None
        wanted = max(least, 3 * level)
    local = level_map(inside, variance, freedom, edge)
    evened = global_edge(variance / np.square(local[tuple(inside.place.T)] / level), freedom)
    local *= float(evened.level) / level
    doubt = _doubt(evened, _REPEATS)
    if doubt > 0:
        local *= _depth_ratio(slices, coverage, spectrum, least) ** doubt
    return Tissue(blocks=blocks, inside=inside, edge=evened, level=local, spectrum=spectrum)


def weigh_air(tissue: Tissue, pure: float | None) -> tuple[float, Source]:
    """Compute the factor that the air puts on the level in tissue.

    Args:
        tissue: the measurement in tissue.
        pure: sigma of the air, in the unit of the slices, if the air is Rician noise beyond doubt.

    Returns:
        the factor, at most 1, or more if pure air is noisier; and the source of the level.
    """
    within, even = float(np.median(tissue.levels())), is_even(tissue.levels())
    if pure is not None:
        air, doubt = pure, _doubt(tissue.edge, _PURE)
        if (even or doubt > 0) and within < 2 * pure:
            return pure / within, "air"  # detail that is stronger in all tissue alike, or here and there, is texture
        if within < _AGREE * pure:
            return 1.0, "tissue"
    else:
        dark = dark_level(tissue.blocks, tissue.level)
        if dark is None:
            return 1.0, "tissue"
        air, doubt = max(dark[0], within / _LOWEST), _doubt(tissue.edge, _TEXTURED if dark[1] else _DARK)
    if doubt == 0 or within <= air:
        return 1.0, "tissue"
    return (air / within) ** doubt, "air and tissue"


def is_even(levels: np.ndarray) -> bool:
    """Tell whether levels in tissue differ by no more than chance."""
    low, high = np.percentile(levels, [2, 98])
    return bool(high < _UNEVEN * low)


def agreement(tissue: Tissue) -> float:
    """Compute how well the blocks of tissue agree: 1 as for noise alone, 0 if all of them hold texture."""
    return math.exp(-4 * max(float(tissue.edge.breadth) - _SHARP, 0)) * min(len(tissue.inside.mean) / 500, 1)


def _doubt(edge: Edge, limits: tuple[float, float]) -> float:
    """From 0, where blocks agree as for noise alone, to 1, where all of them hold texture."""
    return min(max((float(edge.breadth) - limits[0]) / (limits[1] - limits[0]), 0.0), 1.0)


def _depth_ratio(slices: np.ndarray, coverage: Sequence[float], spectrum: np.ndarray, least: float) -> float:
    """Level of the difference of neighbouring slices, divided by that of the slices: below 1 if detail repeats.

    Args:
        slices: shape (X, Y, slices).
        coverage: fraction of k-space that was acquired along the two axes of a slice.
        spectrum: of the noise.
        least: mean of a block of tissue.
    """
    middle = middle_slices(slices, 2)
    middle = middle[..., : max(2, _DEPTH_VOXELS // max(middle[..., 0].size, 1))]
    one = cut_detail(middle, coverage)
    both = cut_detail((middle[..., 1:] - middle[..., :-1]) * np.float32(math.sqrt(0.5)), coverage)
    if one is None or both is None:
        return 1.0
    mean = np.zeros((*one.grid[:2], middle.shape[2]), dtype=np.float32)
    mean[tuple(one.place.T)] = one.mean
    tissue = np.minimum(mean[..., 1:], mean[..., :-1]) > least
    across = both.chosen(tissue[tuple(both.place.T)])
    first, second, number = one.place.T
    within = one.chosen(tissue[first, second, np.minimum(number, tissue.shape[2] - 1)])
    levels = [float(global_edge(*whitened_variance(part, spectrum, 0.0)).level) for part in (across, within)]
    return min(levels[0] / levels[1], 1.0) if min(levels) > 0 else 1.0
