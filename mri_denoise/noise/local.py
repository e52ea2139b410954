"""Estimate a map of the noise, for volumes in which one number is not enough."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from mri_denoise.noise.blocks import Blocks, cut_blocks, find_signal, interpolate_blocks, middle_slices, normalise
from mri_denoise.noise.fits import MAD_TO_STD, Samples, foreground_sigma, zero_filled_sigma
from mri_denoise.noise.level import estimate_sigma
from mri_denoise.noise.rician import MEAN_TABLE, STD_TABLE
from mri_denoise.noise.zero_filling import find_coverage

_LEAST_BLOCKS = 30
_ROUNDS = 8


def estimate_map(array: np.ndarray, *, slice_axis: int | None = None, smoothing: float = 1.5) -> np.ndarray:
    """Estimate a smooth map of sigma, for noise that varies in space (parallel imaging, intensity correction).

    The high-pass spread of each block is corrected for Rice's distribution with the current map, then averaged over the
    neighbouring blocks with a Gaussian in which the least active blocks weigh most. Eight rounds make the map
    consistent (a local form of the fixed point of Koay and Basser, 2006). Regions without signal take the values of
    their surroundings.

    Args:
        array: magnitudes, shape (X, Y, Z); NaN, infinity and constant fill are ignored.
        slice_axis: the axis across the slices; the shortest one by default.
        smoothing: standard deviation of the Gaussian, in blocks (of 6 voxels, 2 across slices).

    Returns:
        float32 map of sigma in the units and the shape of ``array``; constant if the volume is too small for a map.

    Raises:
        ValueError: if the array does not have three axes.

    Examples:
        >>> import numpy as np
        >>> from mri_denoise.noise.simulate import add_rician
        >>> flat, rng = np.full((60, 60, 20), 300.0), np.random.default_rng(0)
        >>> sigma = np.linspace(10, 30, 60)[:, None, None]  # grows along the first axis
        >>> found = estimate_map(add_rician(flat, sigma, rng), slice_axis=2)
        >>> bool(np.abs(found / sigma - 1).mean() < 0.1)
        True
    """
    data = np.asarray(array, dtype=np.float32)
    scale, _ = find_signal(data)
    axis = int(np.argmin(data.shape)) if slice_axis is None else slice_axis
    data = np.moveaxis(normalise(data, scale), axis, 2)
    slices = middle_slices(data, 2)
    coverage = find_coverage(slices)
    level = estimate_sigma(array, slice_axis=axis, coverage=coverage)
    blocks = cut_blocks(data)
    if blocks is None or blocks.usable.sum() < _LEAST_BLOCKS or level.sigma == 0:
        return np.full(array.shape, level.sigma, dtype=np.float32)
    spread = MAD_TO_STD * np.median(np.abs(blocks.response), axis=1) * _zero_filling_gain(slices, coverage, blocks)
    sigma = _smooth_sigma(blocks, spread, level.sigma / scale, smoothing)
    for i in range(3):
        sigma = interpolate_blocks(sigma, i, data.shape[i], blocks.offset[i], blocks.edges[i])
    return np.moveaxis((scale * sigma).astype(np.float32), 2, axis)


def _smooth_sigma(blocks: Blocks, spread: np.ndarray, overall: float, smoothing: float) -> np.ndarray:
    """Sigma of each block, on their grid: the weighted average around it of the corrected spread."""
    mean = blocks.values.mean(axis=1)
    # the means of the halves carry noise too, about a third of sigma: an activity below that means nothing
    weight = np.where(blocks.usable, 1 / (np.square(blocks.activity) + overall**2 / 9), 0)
    mean, spread, weight = (np.nan_to_num(a).reshape(blocks.grid) for a in (mean, spread, weight))
    floor = 1e-6 * weight.max()
    total = ndimage.gaussian_filter(weight, smoothing) + floor
    sigma = np.full(blocks.grid, overall)
    for _ in range(_ROUNDS):
        local = spread / np.interp(mean / sigma, MEAN_TABLE, STD_TABLE)
        sigma = (ndimage.gaussian_filter(weight * local, smoothing) + floor * overall) / total
        sigma = np.maximum(sigma, 1e-3 * overall)
    return sigma


def _zero_filling_gain(slices: np.ndarray, coverage: Sequence[float], blocks: Blocks) -> float:
    """The factor by which zero-filling lowered the high-pass response of the noise, 1 or more."""
    sigma = zero_filled_sigma(slices, coverage)
    samples = Samples.of([blocks]) if sigma > 0 else None
    return 1.0 if samples is None else max(sigma / foreground_sigma(samples.foreground()), 1.0)
