"""Blind estimates of the noise in magnitude MR images, whose values follow Rice's distribution.

A volume is cut into small blocks, in which three things are known apart from one another: the mean signal, the
activity (how much the means of the block's halves differ: tissue borders, shading) and the response to a high-pass
filter, which holds the noise and the finest texture. Two estimates follow.

Background: the blocks of the darkest cluster, if their voxels follow Rayleigh's distribution, which is what noise
leaves of no signal (Gudbjartsson & Patz 1995). It needs no assumption on the spectrum of the noise or on the anatomy.

Foreground: the spread (median absolute deviation, as in Donoho & Johnstone 1994 and Coupe et al. 2010) of the high-pass
response in the least active tenth of the bright blocks, corrected for Rice's distribution (Koay & Basser 2006).
Activity and response come from different spatial frequencies, so choosing by the one does not bias the other. Noise
that a scanner has interpolated or filtered lacks high frequencies, and is underestimated here.

The background is preferred unless the fit is poor (air masked, filtered or combined from many coils), or unless
the foreground is so much noisier that the air says nothing about it (intensity correction, parallel imaging).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.special import i0e, i1e

from mri_denoise.noise_blocks import cut_blocks, interpolated, normalised, slabs

_RAYLEIGH_MEAN = math.sqrt(math.pi / 2)  # mean and standard deviation of Rayleigh's distribution with sigma 1
_RAYLEIGH_STD = math.sqrt(2 - math.pi / 2)
_MAD_TO_STD = 1.4826


@dataclass(frozen=True)
class NoiseLevel:
    """Noise of one volume.

    Args:
        sigma: standard deviation of the noise in the real and in the imaginary channel, in the array's own units;
            0 where nothing can be measured (constant or tiny volumes).
        snr: root mean square of the noise-free foreground signal, divided by ``sigma``; infinite where that is 0.
        method: ``"background"``, ``"foreground"`` or ``"none"``.
    """

    sigma: float
    snr: float
    method: str


def rice_moments(snr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of Rice's distribution with sigma 1 (Gudbjartsson & Patz 1995).

    Args:
        snr: noise-free signal divided by sigma, at least 0, any shape.

    Returns:
        Mean and standard deviation, both divided by sigma, in the shape of ``snr``.
    """
    x = np.square(snr) / 4
    mean = _RAYLEIGH_MEAN * ((1 + 2 * x) * i0e(x) + 2 * x * i1e(x))
    return mean, np.sqrt(2 + 4 * x - mean**2)


_SNR_TABLE = np.concatenate([np.linspace(0, 8, 801), np.linspace(8.1, 50, 420)])
_MEAN_TABLE, _STD_TABLE = rice_moments(_SNR_TABLE)


def koay_correction(mean: np.ndarray, std: np.ndarray, iterations: int = 200) -> float:
    """Sigma of Rician noise from the means and standard deviations of magnitudes (Koay & Basser 2006).

    The correction factor depends on the wanted sigma, so it is a fixed point, here approached from above (from the
    factor of pure noise). With several measurements of the same noise at different signals, the median is used.

    Args:
        mean: (N,) means of magnitudes.
        std: (N,) their standard deviations.
        iterations: upper limit; convergence is slow only when there is next to no signal.

    Returns:
        Sigma, in the units of the magnitudes.
    """
    sigma = float(np.median(std)) / _RAYLEIGH_STD
    for _ in range(iterations):
        if sigma <= 0:
            return 0.0
        previous = sigma
        sigma = float(np.median(std / np.interp(mean / sigma, _MEAN_TABLE, _STD_TABLE)))
        if abs(sigma - previous) < 1e-5 * previous:
            break
    return sigma


def estimate(array: np.ndarray, *, slice_axis: int | None = None) -> NoiseLevel:
    """Estimate the noise level of a volume from itself alone.

    Args:
        array: magnitudes, shape (X, Y, Z), any of which may be 1; NaN, infinity and constant fill are ignored.
        slice_axis: the axis across slices; the shortest one where it is not known.

    Returns:
        Sigma in the units of ``array``, the signal-to-noise ratio and the method that was used.

    Raises:
        ValueError: the array does not have three axes.
    """
    data, scale = normalised(array)
    axis = int(np.argmin(data.shape)) if slice_axis is None else slice_axis
    blocks = [b for b in map(cut_blocks, slabs(np.moveaxis(data, axis, 2))) if b is not None]
    if not any(b.usable.any() for b in blocks):
        return NoiseLevel(0.0, math.inf, "none")
    values, response, activity = (
        np.concatenate([getattr(b, name)[b.usable] for b in blocks]) for name in ("values", "response", "activity")
    )
    bright = _bright(values.mean(axis=1))
    foreground = _foreground_sigma(values[bright], response[bright], activity[bright])
    masked = float(np.mean(~(np.abs(data) > 0))) > 0.1  # zero or not a number
    background = _background_sigma(values, response, masked=masked)
    if background is None or foreground > 2 * background or (masked and foreground < background):
        sigma, method = foreground, "foreground"
    else:
        sigma, method = background, "background"
    power = max(float(np.mean(np.square(values[bright], dtype=np.float64))) - 2 * sigma**2, 0.0)
    return NoiseLevel(sigma * scale, math.sqrt(power) / sigma if sigma > 0 else math.inf, method)


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
    data, scale = normalised(array)
    axis = int(np.argmin(data.shape)) if slice_axis is None else slice_axis
    data = np.moveaxis(data, axis, 2)
    blocks = cut_blocks(data)
    if blocks is None or blocks.usable.sum() < 30 or level.sigma == 0:
        return np.full(array.shape, level.sigma, dtype=np.float32)
    mean = blocks.values.mean(axis=1)
    spread = _MAD_TO_STD * np.median(np.abs(blocks.response), axis=1)
    overall = level.sigma / scale
    # the means of halves carry noise too, about a third of sigma: less activity than that says nothing
    weight = np.where(blocks.usable, 1 / (np.square(blocks.activity) + overall**2 / 9), 0)
    mean, spread, weight = (np.nan_to_num(a).reshape(blocks.grid) for a in (mean, spread, weight))
    floor = 1e-6 * weight.max()
    total = ndimage.gaussian_filter(weight, reach) + floor
    sigma = np.full(blocks.grid, overall)
    for _ in range(8):
        local = spread / np.interp(mean / sigma, _MEAN_TABLE, _STD_TABLE)
        sigma = (ndimage.gaussian_filter(weight * local, reach) + floor * overall) / total
        sigma = np.maximum(sigma, 1e-3 * overall)
    for i in range(3):
        sigma = interpolated(sigma, i, data.shape[i], blocks.offset[i], blocks.edges[i])
    return np.moveaxis((scale * sigma).astype(np.float32), 2, axis)


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


def _background_sigma(values: np.ndarray, response: np.ndarray, *, masked: bool) -> float | None:
    """Sigma of the darkest cluster of blocks, if it is large and follows Rayleigh's distribution; else None."""
    mean = values.mean(axis=1, dtype=np.float64)
    std = values.std(axis=1, dtype=np.float64)
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
    for _ in range(4):
        dark = np.abs(mean - centre) < 0.1 * centre
        if dark.mean() < 0.02 or dark.sum() < 20:
            return None
        sigma = rayleigh_sigma(values[dark])
        centre = _RAYLEIGH_MEAN * sigma
    if sigma == 0 or rayleigh_distance(values[dark], sigma) > 0.03:
        return None
    # Dark tissue inside a mask looks nearly like pure noise; but its high-pass spread is then less than Rayleigh's.
    spread = _MAD_TO_STD * float(np.median(np.abs(response[dark]))) / _RAYLEIGH_STD
    return None if spread > 1.1 * sigma or (masked and spread < 0.985 * sigma) else sigma


def _step(values: np.ndarray) -> float:
    """Distance of neighbouring grey levels: the quantisation, next to nothing for real numbers."""
    levels = np.unique(values)
    return float(np.median(np.diff(levels))) if len(levels) > 1 else 0.0


def rayleigh_sigma(values: np.ndarray) -> float:
    """Maximum likelihood sigma of Rayleigh samples, less the power that rounding adds (Sheppard: step^2 / 12).

    Args:
        values: magnitudes of pure noise, any shape, finite.

    Returns:
        Sigma, in the units of ``values``.
    """
    power = float(np.mean(np.square(values, dtype=np.float64)))
    return math.sqrt(max(power - _step(values) ** 2 / 12, 0.0) / 2)


def rayleigh_distance(values: np.ndarray, sigma: float) -> float:
    """Kolmogorov-Smirnov distance of samples, rounded to grey levels or not, from Rayleigh's distribution.

    Args:
        values: magnitudes, any shape, finite.
        sigma: the distribution's parameter, above 0, in the units of ``values``.

    Returns:
        Largest difference of the two cumulative distributions, 0 to 1.
    """
    levels, count = np.unique(values, return_counts=True)
    upper = levels.astype(np.float64) + _step(values) / 2
    return float(np.max(np.abs(np.cumsum(count) / values.size + np.expm1(-np.square(upper / sigma) / 2))))
