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
from dataclasses import dataclass, replace

import numpy as np

from mri_denoise.noise.blocks import central, cut_blocks, measured, normalised, slabs
from mri_denoise.noise.fits import (
    Samples,
    background_sigma,
    foreground_sigma,
    interpolated_foreground_sigma,
    spread,
)
from mri_denoise.noise.rician import koay_correction
from mri_denoise.noise.zero_filling import measured_bands

_PART_BLOCKS = 15
SERIES = 8  # volumes of a series that tell how it was sampled
_SEVERAL = 4  # volumes from which on one can be told from most
_FAR = 1.25
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
        volumes: magnitudes, shape (T, X, Y, Z), otherwise as for :func:`estimate_sigma`.
        slice_axis: the axis across slices; the shortest one where it is not known.

    Returns:
        T levels.
    """
    if len(volumes) == 1:
        return [estimate_sigma(volumes[0], slice_axis=slice_axis)]
    axis = int(np.argmin(volumes.shape[1:])) if slice_axis is None else slice_axis
    chosen = np.linspace(0, len(volumes) - 1, min(len(volumes), SERIES)).astype(int)
    slices = [central(np.moveaxis(np.asarray(volumes[t], dtype=np.float32), axis, 2)) for t in chosen]
    bands = measured_bands(np.concatenate(slices, axis=2))
    levels = [estimate_sigma(volume, slice_axis=axis, bands=bands) for volume in volumes]
    usual = float(np.median([level.sigma for level in levels]))
    if len(levels) < _SEVERAL or usual == 0:
        return levels
    return [
        replace(level, sigma=usual, snr=level.snr * level.sigma / usual) if level.sigma > _FAR * usual else level
        for level in levels
    ]


def estimate_sigma(
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
    parts = [normalised(p, scale) for p in slabs(np.moveaxis(data, axis, 2), np.moveaxis(live, axis, 2))]
    samples = Samples.of(cut_blocks(part) for part in parts)
    if samples is None:
        return NoiseLevel(0.0, math.inf, "none")
    masked = 1 - float(np.mean(live)) > 0.1  # zero or not a number
    background = background_sigma(samples, masked=masked)
    bright = samples.foreground()
    foreground = foreground_sigma(bright)
    if background is None or masked:  # air makes the question superfluous
        slices = central(parts[len(parts) // 2])
        # the larger, because white noise taken for interpolated reads less there
        foreground = max(foreground, interpolated_foreground_sigma(slices, bands or measured_bands(slices)))
    if background is None or foreground > 2 * background or (masked and foreground < background):
        sigma, method = foreground, "foreground"
    else:
        sigma, method = background, "background"
    power = max(float(np.mean(bright.power, dtype=np.float64)) - 2 * sigma**2, 0.0)
    snr = math.sqrt(power) / sigma if sigma > 0 else math.inf
    return NoiseLevel(sigma * scale, snr, method, _variation(bright) if snr < _NOISY else 1.0)


def _variation(foreground: Samples) -> float:
    """Highest by lowest foreground sigma among the 4 x 4 parts of the slice, by the quieter blocks of each."""
    quiet = foreground.activity <= np.median(foreground.activity)
    part = np.where(quiet, np.minimum(4 * foreground.position, 3).astype(int) @ np.array([4, 1]), -1)
    found = []
    for number in range(16):
        inside = np.flatnonzero(part == number)
        if len(inside) >= _PART_BLOCKS:
            chosen = inside[np.argsort(foreground.activity[inside])[: max(_PART_BLOCKS, len(inside) // 3)]]
            mean = foreground.mean[chosen].mean(keepdims=True)
            found.append(koay_correction(mean, np.array([spread(foreground.response[chosen])])))
    return max(found) / min(found) if len(found) >= 8 and min(found) > 0 else 1.0
