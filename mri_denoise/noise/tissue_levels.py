"""Average the level of the noise over the cells of tissue, as a smooth map.

The levels of the cells (:mod:`mri_denoise.noise.cells`) are averaged in windows, by their expected errors.
As chance alone makes such a map uneven, it departs from its mean by as much as chance does not explain.

Windows reach over several slices, unless the level jumps from slice to slice, as where slices were acquired in another
order or with another gain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from mri_denoise.noise.cells import Cells

_LEAST = 8  # cells of tissue: there is no estimate from fewer
_WINDOW, _DEPTH = 0.4, 5.0  # standard deviation of the windows, in cells and in slices
_CHANCE = (0.03, 2.0)  # logarithm of 98th / 2nd percentile of a map of even noise, at an expected error of 0 and per 1
_EVEN = 0.2  # gain below which the level is taken as even
_JUMP = 0.5  # logarithm of the level of a slice by that of the next, in the median, from which slices differ
_IN_SLICE = 8  # cells of tissue that tell the level of a slice
_SURE = 0.2  # expected error above which the level is lowered


@dataclass(frozen=True, kw_only=True)
class LevelMap:
    """The level of the noise in tissue.

    Args:
        level: shape (H, W, S), on the grid of :class:`Cells`; one number if it is even.
        tissue: boolean, (H, W, S): the cells of tissue.
        error: expected relative error.
        unevenness: share of the map's course that chance does not explain, 0 to 1.
        slices: numbers of the S slices.
        jumps: whether the level jumps from slice to slice.
    """

    level: np.ndarray
    tissue: np.ndarray
    error: float
    unevenness: float
    slices: np.ndarray
    jumps: bool

    @property
    def most(self) -> float:
        """The highest level that the expected error allows: one error above what it was before it was lowered."""
        return float(np.median(self.inside)) * math.exp(max(self.error - _SURE, 0.0) + self.error)

    @property
    def inside(self) -> np.ndarray:
        """The levels of the cells of tissue."""
        return np.broadcast_to(self.level, self.tissue.shape)[self.tissue]


def measure_levels(cells: Cells, least: float, *, as_map: bool = False) -> LevelMap | None:
    """Average the levels of the cells of tissue.

    Args:
        cells: of the volume.
        least: mean magnitude, above which a cell may hold tissue.
        as_map: whether a level that may be even is given as a map, too.

    Returns:
        the map; None if there is too little tissue.
    """
    tissue = (cells.mean > least) & (cells.mean > np.exp(cells.level))
    if tissue.sum() < _LEAST:
        return None
    weight = np.where(tissue, 1 / np.square(cells.error), 0)
    values = np.where(tissue, cells.level, 0)
    error = float(np.median(cells.error[tissue]))
    mean = float((weight * values).sum() / weight.sum())
    jumps = _jump(values, weight, cells.slices)
    departure = _smooth(values - mean, weight, cells.slices, 0 if jumps else _DEPTH)
    low, high = np.percentile(departure[tissue], [2, 98])
    chance = _CHANCE[0] + _CHANCE[1] * error
    gain = 1 - (chance / max(high - low, chance)) ** 2
    level = np.array(math.exp(mean - max(error - _SURE, 0.0)))  # too low a level does less harm than too high a one
    if as_map or gain > _EVEN:
        level = level * np.exp(gain * departure)
    return LevelMap(level=level, tissue=tissue, error=error, unevenness=gain, slices=cells.slices, jumps=jumps)


def _jump(values: np.ndarray, weight: np.ndarray, slices: np.ndarray) -> bool:
    """Whether the level of a slice is not that of its neighbours, if all slices are known."""
    told = np.count_nonzero(weight, axis=(0, 1)) >= _IN_SLICE
    if told.sum() < 3 or len(slices) != slices[-1] - slices[0] + 1:
        return False
    level = (weight * values).sum(axis=(0, 1))[told] / weight.sum(axis=(0, 1))[told]
    return bool(np.median(np.abs(np.diff(level))) > _JUMP)


def _smooth(values: np.ndarray, weight: np.ndarray, slices: np.ndarray, depth: float) -> np.ndarray:
    """Weighted mean in Gaussian windows, that deep in slices; 0 where no weight is near."""
    every = float(np.diff(slices).mean()) if len(slices) > 1 else 1.0
    windows = (_WINDOW, _WINDOW, depth / every)
    total, share = (
        ndimage.gaussian_filter(part, windows, mode="constant", truncate=5.0) for part in (weight * values, weight)
    )
    return total / np.maximum(share, 1e-6 * weight.max())
