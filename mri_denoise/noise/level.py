"""Estimate the noise level of magnitude MR images, whose values follow Rice's distribution, from the images alone.

A volume is cut into small blocks. Each block has three properties: the mean signal, the activity (how much the means of
its halves differ: tissue borders, shading), and the response to a high-pass filter, which holds the noise and the
finest texture. Two estimates follow.

Background: the blocks of the darkest cluster, if their voxels follow Rayleigh's distribution, the distribution of
Rician noise without signal (Gudbjartsson and Patz, 1995, https://doi.org/10.1002/mrm.1910340618). This estimate needs
no assumption on the spectrum of the noise or on the anatomy.

Foreground: the spread (median absolute deviation, as in Donoho and Johnstone, 1994, and Coupé et al., 2010) of the
high-pass response in the least active tenth of the bright blocks, corrected for Rice's distribution (Koay and Basser,
2006, https://doi.org/10.1016/j.jmr.2006.01.016). Activity and response come from different spatial frequencies, so
choosing blocks by the one does not bias the other. Noise that was interpolated by zero-filling lacks high frequencies;
such slices are first resampled to the acquired matrix (:mod:`~mri_denoise.noise.zero_filling`). The noise of softly
filtered images is underestimated.

The background is preferred unless the fit is poor (air that is masked, filtered or combined from many coils) or the
foreground is so much noisier that the air says nothing about it (intensity correction, parallel imaging).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from mri_denoise.noise.blocks import cut_blocks, find_signal, middle_slices, normalise, sample_series, sample_slabs
from mri_denoise.noise.fits import Samples, background_sigma, foreground_sigma, zero_filled_sigma
from mri_denoise.noise.zero_filling import find_coverage

_LEAST_SERIES = 4  # volumes: in a shorter series an outlier cannot be told from the rest
_OUTLIER = 1.25  # times the median level of a series


@dataclass(frozen=True, kw_only=True)
class NoiseLevel:
    """Noise of one volume.

    Args:
        sigma: standard deviation of the noise in the real and in the imaginary channel, in the array's own units;
            0 if nothing can be measured (constant or tiny volumes).
        snr: root mean square of the noise-free foreground signal, divided by ``sigma``; infinite if that is 0.
        method: ``"background"``, ``"foreground"`` or ``"none"``.
    """

    sigma: float
    snr: float
    method: Literal["background", "foreground", "none"]


def estimate_series(volumes: np.ndarray, *, slice_axis: int | None = None) -> list[NoiseLevel]:
    """Estimate the noise level of each volume of a series that was acquired with one sequence and one receiver.

    The k-space coverage is found from several volumes together. The noise of the receiver does not depend on the
    signal: in a series of four volumes or more with any noise, a level above 1.25 times their median is anatomy (the
    fine structure of the unweighted volume of a diffusion series), and the median takes its place, unless the air tells
    that level: then the volume is in another unit, or noisier. If the air of most volumes tells the level, that of one
    whose air does not, and whose level is within that factor, is the median of the others.

    Args:
        volumes: magnitudes, shape (T, X, Y, Z); otherwise as for :func:`estimate_sigma`.
        slice_axis: the axis across the slices; the shortest one by default.

    Returns:
        T levels, in the units of ``volumes``.
    """
    if len(volumes) == 1:
        return [estimate_sigma(volumes[0], slice_axis=slice_axis)]
    axis = int(np.argmin(volumes.shape[1:])) if slice_axis is None else slice_axis
    slices = [middle_slices(volumes[t], axis) for t in sample_series(len(volumes))]
    coverage = find_coverage(np.concatenate(slices, axis=2))
    levels = [estimate_sigma(volume, slice_axis=axis, coverage=coverage) for volume in volumes]
    noisy = [level.sigma for level in levels if level.sigma > 0]
    if len(noisy) < _LEAST_SERIES:
        return levels
    air = [level.sigma for level in levels if level.method == "background"]
    if 2 * len(air) > len(noisy):
        levels = [_as_air(level, float(np.median(air))) for level in levels]
    usual = float(np.median(noisy))
    return [_not_anatomy(level, usual) for level in levels]


def _not_anatomy(level: NoiseLevel, usual: float) -> NoiseLevel:
    """The level of a volume, or the usual one of its series if its own is that of fine structure."""
    if level.method != "foreground" or level.sigma <= _OUTLIER * usual:
        return level
    return replace(level, sigma=usual, snr=level.snr * level.sigma / usual)


def _as_air(level: NoiseLevel, air: float) -> NoiseLevel:
    """The level of a volume, or that of the air of the others if its own air does not tell it and it is like that."""
    if level.method != "foreground" or not air / _OUTLIER < level.sigma < air * _OUTLIER:
        return level
    return NoiseLevel(sigma=air, snr=level.snr * level.sigma / air, method="background")


def estimate_sigma(
    array: np.ndarray, *, slice_axis: int | None = None, coverage: tuple[float, float] | None = None
) -> NoiseLevel:
    """Estimate the noise level of a volume from the volume alone.

    Args:
        array: magnitudes, shape (X, Y, Z), any of which may be 1; NaN, infinity and constant fill are ignored.
        slice_axis: the axis across the slices; the shortest one by default.
        coverage: fraction of k-space that was acquired along the two axes of a slice, above 0 and at most 1; by default
            :func:`~mri_denoise.noise.zero_filling.find_coverage` finds it if it is needed.

    Returns:
        sigma in the units of ``array``, the signal-to-noise ratio and the method that was used.

    Raises:
        ValueError: if the array does not have three axes.

    Examples:
        >>> import numpy as np
        >>> from mri_denoise.noise.simulate import add_rician
        >>> from mri_denoise.simulation import head_phantom
        >>> noisy = add_rician(1000 * head_phantom((64, 80, 32)), 50.0, np.random.default_rng(0))
        >>> level = estimate_sigma(noisy, slice_axis=2)
        >>> level.method, round(level.sigma)
        ('background', 50)
    """
    data = np.asarray(array, dtype=np.float32)
    scale, mask = find_signal(data)
    axis = int(np.argmin(data.shape)) if slice_axis is None else slice_axis
    parts = [normalise(p, scale) for p in sample_slabs(np.moveaxis(data, axis, 2), np.moveaxis(mask, axis, 2))]
    samples = Samples.of(cut_blocks(part) for part in parts)
    if samples is None:
        return NoiseLevel(sigma=0.0, snr=math.inf, method="none")
    masked = 1 - float(np.mean(mask)) > 0.1  # zero or not a number
    background = background_sigma(samples, masked=masked)
    bright = samples.foreground()
    foreground = foreground_sigma(bright)
    if background is None or masked:  # the air settles it otherwise
        slices = middle_slices(parts[len(parts) // 2], 2)
        # the larger one: white noise that is mistaken for zero-filled noise reads less on the acquired matrix
        foreground = max(foreground, zero_filled_sigma(slices, coverage or find_coverage(slices)))
    method: Literal["background", "foreground", "none"]
    if background is None or foreground > 2 * background or (masked and foreground < background):
        sigma, method = foreground, "foreground"
    else:
        sigma, method = background, "background"
    method = method if sigma > 0 else "none"
    power = max(float(np.mean(bright.power, dtype=np.float64)) - 2 * sigma**2, 0.0)
    snr = math.sqrt(power) / sigma if sigma > 0 else math.inf
    return NoiseLevel(sigma=sigma * scale, snr=snr, method=method)
