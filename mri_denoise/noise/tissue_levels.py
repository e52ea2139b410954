"""Average the level of the noise over the cells of tissue, as a smooth map.

The levels of the cells (:mod:`mri_denoise.noise.cells`) are averaged in windows, by their expected errors.
As chance alone makes such a map uneven, it departs from its mean by as much as chance does not explain, and by a fifth
more than the cells say, for the network finds a course too flat. In large even tissue without air the network finds up
to 1.3 times the level, which is then lowered to what the magnitudes themselves spread.

Windows reach over several slices, but not to those that the level jumps to, as where slices were acquired in another
order or with another gain, or made up from others.
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
_ROUNDING = 1e-6  # of the mean of a cell, below which it does not spread
_LITTLE = 1e-3  # of the largest weight of a cell: a mean of less says nothing
_SLICE = 0.3  # cells that count as near as the next slice
_COURSE = 1.2  # times: the network finds a course flatter than it is (by up to 1.6 times, simulated g-factors)
_EVEN = 0.2  # gain below which the level is taken as even
_CLEAR = 3.0  # mean magnitude / level of cells whose spread is that of the noise
_FILLED = 0.4  # 5th percentile of the means of cells by the median of tissue, above which there is no air
# level: the noise of many coils spreads 0.7 where there is no signal, and its mean is 8 with 32 coils
_CHI, _COILS = 0.76, 8.0
_PURE = 0.9  # level: the least that magnitudes spread in half of the cells, as correlated noise does without anatomy
# logarithm of the level of a slice by that of another, less the expected errors of both: up to the first the levels are
# alike, from the second on they have nothing to do with each other. Slices of real volumes reach 0.17.
_ALIKE, _JUMP = 0.1, 0.4
_IN_SLICE = 8, 0.2  # cells of tissue, and times those of the usual slice: with more of both a slice tells its level
_SURE = 0.2  # expected error above which the level is lowered


@dataclass(frozen=True, kw_only=True)
class LevelMap:
    """The level of the noise in tissue.

    Args:
        level: shape (H, W, S), on the grid of :class:`Cells`; one number if it is even.
        tissue: boolean, (H, W, S): the cells of tissue.
        error: expected relative error.
        doubt: logarithm of the factor by which the level was then lowered or raised, by what else is known.
        unevenness: share of the map's course that chance does not explain, 0 to 1.
        slices: numbers of the S slices.
        edges: of a cell along the two axes of a slice, in voxels.
        jumps: whether it jumps from one slice to another.
    """

    level: np.ndarray
    tissue: np.ndarray
    error: float
    doubt: float
    unevenness: float
    slices: np.ndarray
    edges: tuple[float, float]
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
    with np.errstate(over="ignore"):  # cells without an image
        tissue = (cells.mean > least) & (cells.mean > np.exp(cells.level)) & ~_frame(cells)
    if tissue.sum() < _LEAST:
        return None
    weight = np.where(tissue, 1 / np.square(cells.error), 0)
    values = np.where(tissue, cells.level, 0)
    error = float(np.median(cells.error[tissue]))
    like = _likeness(cells, weight, values)
    jumps = bool(like.min() == 0)
    mean = _by_slice(values, weight, like) if jumps else np.array((weight * values).sum() / weight.sum())
    departure = _smooth(np.where(tissue, values - mean, 0), weight, cells.slices, like)
    low, high = np.percentile(departure[tissue], [2, 98])
    chance = _CHANCE[0] + _CHANCE[1] * error
    gain = 1 - (chance / max(high - low, chance)) ** 2
    level = np.exp(mean - max(error - _SURE, 0.0))  # too low a level does less harm than too high a one
    if as_map or gain > _EVEN:
        level = level * np.exp(_COURSE * gain * departure)
    elif jumps:
        level = np.broadcast_to(level, tissue.shape)
    excess = _excess(cells, tissue, level)
    return LevelMap(
        level=level / excess,
        tissue=tissue,
        error=error,
        doubt=math.log(excess),
        unevenness=gain,
        slices=cells.slices,
        edges=cells.edges,
        jumps=jumps,
    )


def _excess(cells: Cells, tissue: np.ndarray, level: np.ndarray) -> float:
    """How many times the level is higher than the magnitudes spread where tissue fills the image, at least 1."""
    level = np.broadcast_to(level, tissue.shape)
    bright = tissue & (cells.mean > _CLEAR * level)  # weak magnitudes spread less than sigma
    measured = cells.mean[np.isfinite(cells.level) & (cells.mean > 0)]
    filled = np.percentile(measured, 5) > _FILLED * np.median(cells.mean[tissue])
    if not filled or np.count_nonzero(bright) < _LEAST:
        return 1.0
    share, snr = (float(np.median(values[bright] / level[bright])) for values in (cells.spread, cells.mean))
    return max(_PURE / max(share, 1e-3), 1.0) if share > _CHI or snr > _COILS else 1.0


def _frame(cells: Cells) -> np.ndarray:
    """The cells of one value that most cells without any spread have, as a frame around an image: boolean."""
    still = (cells.spread <= _ROUNDING * cells.mean) & (cells.mean > 0)
    if not still.any():
        return still
    usual = np.median(cells.mean[still])
    frame: np.ndarray = still & (np.abs(cells.mean - usual) <= _ROUNDING * usual)
    return frame if 2 * np.count_nonzero(frame) > np.count_nonzero(still) else np.zeros_like(still)


def _likeness(cells: Cells, weight: np.ndarray, values: np.ndarray) -> np.ndarray:
    """How much the levels of two slices have to do with each other, 0 to 1, (S, S); 1 unless all slices are known.

    A slice with hardly any tissue is like the nearest one that has some.
    """
    slices = cells.slices
    same = np.ones((len(slices), len(slices)))
    count = np.count_nonzero(weight, axis=(0, 1))
    told = np.flatnonzero(count >= max(_IN_SLICE[0], _IN_SLICE[1] * np.median(count[count > 0])))
    if len(told) < 2 or len(slices) != slices[-1] - slices[0] + 1:
        return same
    level = (weight * values).sum(axis=(0, 1))[told] / weight.sum(axis=(0, 1))[told]
    error = np.array([np.median(cells.error[..., place][weight[..., place] > 0]) for place in told])
    apart = np.abs(level[:, None] - level) - error[:, None] - error
    if np.diagonal(apart, 1).max() < _JUMP:  # a course from one end to the other is no jump
        return same
    nearest = np.abs(np.arange(len(slices))[:, None] - told).argmin(axis=1)
    return np.clip((_JUMP - apart) / (_JUMP - _ALIKE), 0, 1)[np.ix_(nearest, nearest)]


def _by_slice(values: np.ndarray, weight: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Weighted mean of each slice and those that are like it, shape (S,)."""
    total, share = ((part.sum(axis=(0, 1)) * like).sum(axis=1) for part in (weight * values, weight))
    found: np.ndarray = total / np.maximum(share, 1e-6 * weight.max())
    return found


def _smooth(values: np.ndarray, weight: np.ndarray, slices: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Weighted mean in Gaussian windows that reach to slices like theirs; where no weight is near, the nearest one."""
    every = float(np.diff(slices).mean()) if len(slices) > 1 else 1.0
    place = np.arange(len(slices)) * every / _DEPTH
    reach = like * np.exp(-np.square(place[:, None] - place) / 2)
    total, share = (
        ndimage.gaussian_filter(part, (_WINDOW, _WINDOW, 0), mode="constant", truncate=5.0) @ reach.T
        for part in (weight * values, weight)
    )
    known = share > _LITTLE * weight.max()
    places = ndimage.distance_transform_edt(
        ~known, sampling=(1, 1, _SLICE * every), return_distances=False, return_indices=True
    )
    mean: np.ndarray = (total / np.maximum(share, _LITTLE * weight.max()))[tuple(places)]
    return mean
