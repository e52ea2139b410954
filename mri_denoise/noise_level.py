"""Blind estimates of the noise in magnitude MR images, whose values follow Rice's distribution.

A volume is cut into small blocks, in which three things are known apart from one another: the mean signal, the
activity (how much the means of the block's halves differ: tissue borders, shading) and the response to a high-pass
filter, which holds the noise and the finest texture. Two estimates follow.

Background: the blocks of the darkest cluster, if their voxels follow Rayleigh's distribution, which is what noise
leaves of no signal (Gudbjartsson & Patz 1995). It needs no assumption on the spectrum of the noise or on the anatomy.

Foreground: the spread (median absolute deviation, as in Donoho & Johnstone 1994 and Coupe et al. 2010) of the high-pass
response in the least active tenth of the bright blocks, corrected for Rice's distribution (Koay & Basser 2006).
Activity and response come from different spatial frequencies, so choosing by the one does not bias the other. Noise
that a scanner has interpolated by zero-filling lacks high frequencies; such slices are first brought back to the grid
on which they were measured (noise_band). What was filtered softly is underestimated here.

The background is preferred unless the fit is poor (air masked, filtered or combined from many coils), or unless
the foreground is so much noisier that the air says nothing about it (intensity correction, parallel imaging).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from mri_denoise.noise_band import measured_band, measured_grid
from mri_denoise.noise_blocks import Blocks, cut_blocks, interpolated, measured, normalised, slabs
from mri_denoise.rice import (
    MEAN_TABLE,
    RAYLEIGH_MEAN,
    RAYLEIGH_STD,
    STD_TABLE,
    grey_step,
    koay_correction,
    rayleigh_distance,
    rayleigh_sigma,
)

_MAD_TO_STD = 1.4826
_PART_BLOCKS = 15
_SERIES = 8  # volumes of a series that tell how it was sampled
_SEVERAL = 4  # volumes from which on one can be told from most
_FAR = 1.25
_CENTRAL = 24  # slices brought back to their measured grid: enough blocks, and next to no time
_NOISY = 30.0  # SNR above which the finest texture hides how even the noise is
UNEVEN = 1.5  # texture and chance alone leave less (up to 1.4 in volumes of even noise)


@dataclass(frozen=True)
class NoiseLevel:
    """Noise of one volume.

    Args:
        sigma: standard deviation of the noise in the real and in the imaginary channel, in the array's own units;
            0 where nothing can be measured (constant or tiny volumes).
        snr: root mean square of the noise-free foreground signal, divided by ``sigma``; infinite where that is 0.
        method: ``"background"``, ``"foreground"`` or ``"none"``.
        variation: highest by lowest sigma among the parts of the slice (a grid of 4 x 4) in the foreground; 1 where
            SNR is 30 or more, or there is too little to compare. Above :data:`UNEVEN` one number for the volume is not
            enough.
    """

    sigma: float
    snr: float
    method: str
    variation: float = 1.0


def estimate_series(volumes: np.ndarray, *, slice_axis: int | None = None) -> list[NoiseLevel]:
    """Estimate the noise level of each volume of a series, all of which were sampled and received alike.

    How k-space was sampled is found out from several volumes together. Noise is that of the receiver, the same for weak
    and strong signals: where one volume reads far more than most do (of diffusion series the unweighted one, whose
    fine structure stands out), that is anatomy, and it gets the median.

    Args:
        volumes: magnitudes, shape (T, X, Y, Z), otherwise as for :func:`estimate`.
        slice_axis: the axis across slices; the shortest one where it is not known.

    Returns:
        T levels.
    """
    if len(volumes) == 1:
        return [estimate(volumes[0], slice_axis=slice_axis)]
    axis = int(np.argmin(volumes.shape[1:])) if slice_axis is None else slice_axis
    chosen = np.linspace(0, len(volumes) - 1, min(len(volumes), _SERIES)).astype(int)
    slices = [_central(np.moveaxis(np.asarray(volumes[t], dtype=np.float32), axis, 2)) for t in chosen]
    bands = _bands(np.concatenate(slices, axis=2))
    levels = [estimate(volume, slice_axis=axis, bands=bands) for volume in volumes]
    usual = float(np.median([level.sigma for level in levels]))
    if len(levels) < _SEVERAL or usual == 0:
        return levels
    return [
        replace(level, sigma=usual, snr=level.snr * level.sigma / usual) if level.sigma > _FAR * usual else level
        for level in levels
    ]


def estimate(
    array: np.ndarray, *, slice_axis: int | None = None, bands: tuple[float, float] | None = None
) -> NoiseLevel:
    """Estimate the noise level of a volume from itself alone.

    Args:
        array: magnitudes, shape (X, Y, Z), any of which may be 1; NaN, infinity and constant fill are ignored.
        slice_axis: the axis across slices; the shortest one where it is not known.
        bands: share of k-space that was measured along the two axes of a slice; found out where it is not known.

    Returns:
        Sigma in the units of ``array``, the signal-to-noise ratio and the method that was used.

    Raises:
        ValueError: the array does not have three axes.
    """
    data = np.asarray(array, dtype=np.float32)
    scale, live = measured(data)
    axis = int(np.argmin(data.shape)) if slice_axis is None else slice_axis
    parts = slabs(np.moveaxis(data, axis, 2), np.moveaxis(live, axis, 2))
    parts = [normalised(part, scale) for part in parts]
    blocks = _usable(cut_blocks(part) for part in parts)
    if blocks is None:
        return NoiseLevel(0.0, math.inf, "none")
    values, response, activity, position = blocks
    means, stds = _moments(values)
    bright = _bright(means)
    masked = 1 - float(np.mean(live)) > 0.1  # zero or not a number
    background = _background_sigma(values, means, stds, response, masked=masked)
    foreground = _foreground_sigma(values[bright], response[bright], activity[bright])
    if background is None or masked:
        foreground = max(foreground, _measured_foreground_sigma(parts, bands))
    if background is None or foreground > 2 * background or (masked and foreground < background):
        sigma, method = foreground, "foreground"
    else:
        sigma, method = background, "background"
    power = float(np.mean(np.square(means[bright], dtype=np.float64) + np.square(stds[bright])))
    power = max(power - 2 * sigma**2, 0.0)
    snr = math.sqrt(power) / sigma if sigma > 0 else math.inf
    foremost = (a[bright] for a in (values, response, activity, position))
    return NoiseLevel(sigma * scale, snr, method, _variation(*foremost) if snr < _NOISY else 1.0)


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
    level = estimate(array, slice_axis=slice_axis)
    data = np.asarray(array, dtype=np.float32)
    scale, _ = measured(data)
    data = normalised(data, scale)
    axis = int(np.argmin(data.shape)) if slice_axis is None else slice_axis
    data = np.moveaxis(data, axis, 2)
    blocks = cut_blocks(data)
    if blocks is None or blocks.usable.sum() < 30 or level.sigma == 0:
        return np.full(array.shape, level.sigma, dtype=np.float32)
    mean = blocks.values.mean(axis=1)
    spread = _MAD_TO_STD * np.median(np.abs(blocks.response), axis=1) * _interpolation_gain(data, blocks)
    overall = level.sigma / scale
    # the means of halves carry noise too, about a third of sigma: less activity than that says nothing
    weight = np.where(blocks.usable, 1 / (np.square(blocks.activity) + overall**2 / 9), 0)
    mean, spread, weight = (np.nan_to_num(a).reshape(blocks.grid) for a in (mean, spread, weight))
    floor = 1e-6 * weight.max()
    total = ndimage.gaussian_filter(weight, reach) + floor
    sigma = np.full(blocks.grid, overall)
    for _ in range(8):
        local = spread / np.interp(mean / sigma, MEAN_TABLE, STD_TABLE)
        sigma = (ndimage.gaussian_filter(weight * local, reach) + floor * overall) / total
        sigma = np.maximum(sigma, 1e-3 * overall)
    for i in range(3):
        sigma = interpolated(sigma, i, data.shape[i], blocks.offset[i], blocks.edges[i])
    return np.moveaxis((scale * sigma).astype(np.float32), 2, axis)


def _usable(blocks: Iterable[Blocks | None]) -> tuple[np.ndarray, ...] | None:
    """Values, response, activity and position of what can be used of all blocks; None if that is nothing."""
    found = [b for b in blocks if b is not None and b.usable.any()]
    if not found:
        return None
    names = ("values", "response", "activity", "position")
    return tuple(np.concatenate([getattr(b, name)[b.usable] for b in found]) for name in names)


def _central(slices: np.ndarray) -> np.ndarray:
    first = max(slices.shape[2] // 2 - _CENTRAL // 2, 0)
    return slices[:, :, first : first + _CENTRAL]


def _bands(slices: np.ndarray) -> tuple[float, float]:
    return measured_band(slices, 0), measured_band(slices, 1)


def _measured_foreground_sigma(parts: list[np.ndarray], bands: tuple[float, float] | None) -> float:
    """Foreground sigma on the grid on which the slices were measured; 0 where they were not interpolated."""
    slices = _central(parts[len(parts) // 2])
    bands = _bands(slices) if bands is None else bands
    if min(bands) == 1:
        return 0.0
    blocks = _usable([cut_blocks(measured_grid(slices, bands))])
    if blocks is None:
        return 0.0
    values, response, activity, _ = blocks
    bright = _bright(_moments(values)[0])
    return _foreground_sigma(values[bright], response[bright], activity[bright])


def _interpolation_gain(data: np.ndarray, blocks: Blocks) -> float:
    """By how much interpolation lowered the high-pass response of the noise: 1 where there was none."""
    measured_sigma = _measured_foreground_sigma([data], None)
    if measured_sigma == 0:
        return 1.0
    values, response, activity, _ = _usable([blocks]) or ()
    bright = _bright(_moments(values)[0])
    return max(measured_sigma / _foreground_sigma(values[bright], response[bright], activity[bright]), 1.0)


def _moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each block.

    By einsum, for reductions of short rows take several times as long. The difference of squares loses digits only
    where the mean is far above the spread, and there nobody asks for the spread.
    """
    share = np.float32(1 / values.shape[1])
    mean = share * np.einsum("ij->i", values)
    power = share * np.einsum("ij,ij->i", values, values)
    return mean, np.sqrt(np.maximum(power - mean * mean, 0))


def _bright(means: np.ndarray) -> np.ndarray:
    """Blocks above half the mean signal of the brighter part: the foreground, whatever the noise."""
    upper = means[means >= means.mean()].mean()
    return means >= min(upper / 2, upper)


def _foreground_sigma(values: np.ndarray, response: np.ndarray, activity: np.ndarray) -> float:
    """Koay-corrected spread of the high-pass response in the least active blocks."""
    sigma = 0.0
    for share in (0.1, 0.5):
        chosen = np.argsort(activity)[: max(60, int(share * len(activity)))]
        mean = values[chosen].mean(axis=1)
        groups = np.array_split(np.argsort(mean), min(8, 1 + len(mean) // 40))
        spread = np.array([_MAD_TO_STD * np.median(np.abs(response[chosen[g]])) for g in groups])
        sigma = koay_correction(np.array([mean[g].mean() for g in groups]), spread)
        if mean.mean() > 5 * sigma:
            break  # otherwise noise hides any texture, and more blocks are worth more than quieter ones
    return sigma


def _variation(values: np.ndarray, response: np.ndarray, activity: np.ndarray, position: np.ndarray) -> float:
    """Highest by lowest foreground sigma among the 4 x 4 parts of the slice, by the quieter blocks of each."""
    quiet = activity <= np.median(activity)
    part = np.where(quiet, np.minimum(4 * position, 3).astype(int) @ np.array([4, 1]), -1)
    found = []
    for number in range(16):
        inside = np.flatnonzero(part == number)
        if len(inside) >= _PART_BLOCKS:
            chosen = inside[np.argsort(activity[inside])[: max(_PART_BLOCKS, len(inside) // 3)]]
            spread = _MAD_TO_STD * np.median(np.abs(response[chosen]))
            found.append(koay_correction(values[chosen].mean(keepdims=True).ravel(), np.array([spread])))
    return max(found) / min(found) if len(found) >= 8 and min(found) > 0 else 1.0


def _background_sigma(
    values: np.ndarray, mean: np.ndarray, std: np.ndarray, response: np.ndarray, *, masked: bool
) -> float | None:
    """Sigma of the darkest cluster of blocks, if it is large and follows Rayleigh's distribution; else None."""
    alike = mean[(mean > 0) & (std > 0.40 * mean) & (std < 0.66 * mean)]  # pure noise: 0.523, scattered
    if len(alike) < 20:
        return None
    logs = np.log(alike)
    count, bounds = np.histogram(logs, np.arange(logs.min() - 0.1, logs.max() + 0.2, 0.05))
    count = np.convolve(count, [1, 1, 1], "same")
    peak = int(np.argmax(count >= 0.3 * count.max()))
    while peak + 1 < len(count) and count[peak + 1] >= count[peak]:
        peak += 1
    centre = math.exp((bounds[peak] + bounds[peak + 1]) / 2)
    step = None  # the same wherever the centre moves to; finding it takes longer than all else
    for _ in range(4):
        dark = np.abs(mean - centre) < 0.1 * centre
        if dark.mean() < 0.02 or dark.sum() < 20:
            return None
        noise = values[dark]
        step = grey_step(np.unique(noise)) if step is None else step
        sigma = rayleigh_sigma(noise, step)
        centre = RAYLEIGH_MEAN * sigma
    if sigma == 0 or rayleigh_distance(values[dark], sigma) > 0.03:
        return None
    # Dark tissue inside a mask looks nearly like pure noise; but its high-pass spread is then less than Rayleigh's.
    spread = _MAD_TO_STD * float(np.median(np.abs(response[dark]))) / RAYLEIGH_STD
    return None if spread > 1.1 * sigma or (masked and spread < 0.985 * sigma) else sigma
