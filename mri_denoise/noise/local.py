"""A map of the noise, from place to place, where one number a volume is not enough."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from mri_denoise.noise.blocks import Blocks, central, cut_blocks, interpolated, measured, normalised
from mri_denoise.noise.fits import MAD_TO_STD, Samples, foreground_sigma, interpolated_foreground_sigma
from mri_denoise.noise.level import estimate_sigma
from mri_denoise.noise.rician import MEAN_TABLE, STD_TABLE
from mri_denoise.noise.zero_filling import measured_bands


def estimate_map(array: np.ndarray, *, slice_axis: int | None = None, reach: float = 1.5) -> np.ndarray:
    """Estimate a smooth map of sigma, for noise that varies in space (parallel imaging, intensity correction).

    Each block's high-pass spread is corrected for Rice's distribution with the current map, then averaged over its
    neighbours with a Gaussian in which the least active blocks weigh most; a few rounds make it consistent (the local
    form of Koay's fixed point). Where a region holds nothing to measure, its surroundings fill it.

    Args:
        array: magnitudes, shape (X, Y, Z); NaN, infinity and constant fill are ignored.
        slice_axis: the axis across slices; the shortest one where it is not known.
        reach: standard deviation of the Gaussian, in blocks (of 6 voxels, 2 across slices).

    Returns:
        float32 map of sigma in the units and the shape of ``array``; constant if the volume is too small for a map.

    Raises:
        ValueError: the array does not have three axes.
    """
    data = np.asarray(array, dtype=np.float32)
    scale, _ = measured(data)
    axis = int(np.argmin(data.shape)) if slice_axis is None else slice_axis
    data = np.moveaxis(normalised(data, scale), axis, 2)
    slices = central(data)
    bands = measured_bands(slices)
    level = estimate_sigma(array, slice_axis=axis, bands=bands)
    blocks = cut_blocks(data)
    if blocks is None or blocks.usable.sum() < 30 or level.sigma == 0:
        return np.full(array.shape, level.sigma, dtype=np.float32)
    mean = blocks.values.mean(axis=1)
    local_spread = MAD_TO_STD * np.median(np.abs(blocks.response), axis=1) * _interpolation_gain(slices, bands, blocks)
    overall = level.sigma / scale
    # the means of halves carry noise too, about a third of sigma: less activity than that says nothing
    weight = np.where(blocks.usable, 1 / (np.square(blocks.activity) + overall**2 / 9), 0)
    mean, local_spread, weight = (np.nan_to_num(a).reshape(blocks.grid) for a in (mean, local_spread, weight))
    floor = 1e-6 * weight.max()
    total = ndimage.gaussian_filter(weight, reach) + floor
    sigma = np.full(blocks.grid, overall)
    for _ in range(8):
        local = local_spread / np.interp(mean / sigma, MEAN_TABLE, STD_TABLE)
        sigma = (ndimage.gaussian_filter(weight * local, reach) + floor * overall) / total
        sigma = np.maximum(sigma, 1e-3 * overall)
    for i in range(3):
        sigma = interpolated(sigma, i, data.shape[i], blocks.offset[i], blocks.edges[i])
    return np.moveaxis((scale * sigma).astype(np.float32), 2, axis)


def _interpolation_gain(slices: np.ndarray, bands: Sequence[float], blocks: Blocks) -> float:
    """By how much interpolation lowered the high-pass response of the noise: 1 where there was none."""
    sigma = interpolated_foreground_sigma(slices, bands)
    samples = Samples.of([blocks]) if sigma > 0 else None
    return 1.0 if samples is None else max(sigma / foreground_sigma(samples.foreground()), 1.0)
