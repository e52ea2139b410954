"""Estimate how the noise of neighbouring voxels is correlated.

A scanner that zero-fills k-space, filters or interpolates leaves noise that neighbouring voxels share. Where there is
no signal, the power (squared magnitude) of complex Gaussian noise has the squared correlation of the noise itself
(Reed, "On a moment theorem for complex Gaussian processes", IRE Transactions on Information Theory 8, 1962, p. 194), so
the air shows it. The sign is lost: correlations are taken as positive, and end at the first lag without one. Where the
air is masked or is not pure noise, the k-space coverage tells the effect of zero-filling: the noise of a band-limited
image has the correlation of a sinc. In both cases the correlation is treated as separable along the three axes, as it
is for zero-filling.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from mri_denoise.noise.blocks import middle_slices, sample_series
from mri_denoise.noise.level import NoiseLevel, estimate_sigma
from mri_denoise.noise.rician import RAYLEIGH_MEAN
from mri_denoise.noise.zero_filling import find_coverage

MAX_LAG = 4
_BRIGHT = 5.0  # sigma: of pure noise four voxels in a million; small vessels and fat would look like shared noise
_LEAST_AIR = 4000  # voxels: fewer are not enough
_AGREEMENT = 0.1  # difference of correlations
_LEAST_POWER = 0.05  # squared correlations below cannot be told from remnants of signal in the air


def find_air(volume: np.ndarray, sigma: float) -> np.ndarray:
    """Find the voxels around which the mean is that of pure noise, correlated or not, and none is far brighter.

    Args:
        volume: magnitudes, shape (X, Y, Z), finite.
        sigma: of the noise, in the same units.

    Returns:
        boolean, same shape; masked air (zeros) is not included.
    """
    mean = ndimage.uniform_filter(volume.astype(np.float32), _window(volume.shape))
    noise_like = (np.abs(mean / (RAYLEIGH_MEAN * sigma) - 1) < 0.3) & (volume < _BRIGHT * sigma)
    return ndimage.binary_erosion(noise_like, np.ones([3 if n > 3 else 1 for n in volume.shape], bool))


def _window(shape: Sequence[int]) -> list[int]:
    """Width of a local mean along each axis, in voxels."""
    return [min(9, n) if n > 3 else 1 for n in shape]


def power_correlation(volume: np.ndarray, sigma: float) -> np.ndarray | None:
    """Measure the correlation of the power in the air at lags 0 to :data:`MAX_LAG` along each axis.

    Args:
        volume: magnitudes, shape (X, Y, Z), finite.
        sigma: of the noise, above 0, in the same units.

    Returns:
        shape (3, ``MAX_LAG`` + 1), 1 at lag 0; None if there is too little air.
    """
    air = find_air(volume, sigma)
    if np.count_nonzero(air) < _LEAST_AIR:
        return None
    power = np.where(air, np.square(volume / np.float32(sigma)) / 2, np.float32(0))
    # ghosts and other signal in the air vary slowly
    window = _window(volume.shape)
    fraction = ndimage.uniform_filter(air.astype(np.float32), window)
    power -= ndimage.uniform_filter(power, window) / fraction.clip(1e-3)
    variance = np.square(power[air]).mean()
    found = np.eye(1, MAX_LAG + 1).repeat(3, axis=0)
    for axis in range(3):
        for lag in range(1, min(MAX_LAG, volume.shape[axis] - 1) + 1):
            here, there = np.moveaxis(power, axis, 0)[lag:], np.moveaxis(power, axis, 0)[:-lag]
            both = np.moveaxis(air, axis, 0)[lag:] & np.moveaxis(air, axis, 0)[:-lag]
            if np.count_nonzero(both) >= _LEAST_AIR // 4:
                found[axis, lag] = (here[both] * there[both]).mean() / variance
    return found


def noise_correlation(volumes: np.ndarray, slice_axis: int, levels: Sequence[NoiseLevel] | None = None) -> np.ndarray:
    """Estimate the correlation of the noise between neighbours along each axis, from the slices in the middle.

    Args:
        volumes: magnitudes, shape (T, X, Y, Z), all sampled alike; values that are not finite are ignored.
        slice_axis: the axis across the slices.
        levels: of each volume, where they are known (:func:`~mri_denoise.noise.level.estimate_sigma` by default).

    Returns:
        shape (3, :data:`MAX_LAG` + 1): for each axis the correlation at lags 0 to ``MAX_LAG``, from 1 at lag 0. Zeros
        follow if the noise is white, or nothing can be measured.
    """
    found = np.eye(1, MAX_LAG + 1).repeat(3, axis=0)
    slices, of_air = [], []
    for t in sample_series(len(volumes)):
        level = estimate_sigma(volumes[t], slice_axis=slice_axis) if levels is None else levels[t]
        if level.sigma == 0:
            continue
        slices.append(np.nan_to_num(middle_slices(volumes[t], slice_axis), posinf=0, neginf=0))
        power = power_correlation(slices[-1], level.sigma) if level.method == "background" else None
        if power is not None:
            of_air.append(power)
    if not slices:
        return found
    axes = [*(axis for axis in range(3) if axis != slice_axis), slice_axis]
    coverage = (*find_coverage(np.concatenate(slices, axis=2)), 1.0)
    for place, (axis, fraction) in enumerate(zip(axes, coverage, strict=True)):
        row = np.sinc(fraction * np.arange(MAX_LAG + 1)) if fraction < 1 else found[axis]
        if of_air:  # the air decides; if the spectrum agrees, its sinc is better known at all lags
            measured = _correlation_of_power(np.mean(of_air, axis=0)[place])
            row = row if measured[1] > 0 and abs(measured[1] - row[1]) < _AGREEMENT else measured
        found[axis] = row
    return found


def cosine_power(row: np.ndarray, transform: np.ndarray) -> np.ndarray:
    """Compute the power of noise in each coefficient of a transform along an axis, relative to that in a voxel.

    Args:
        row: correlation of the noise along the axis, (lags,), from 1 at lag 0; 0 at lags beyond.
        transform: shape (E, E), one coefficient a row.

    Returns:
        shape (E,).
    """
    places = np.arange(len(transform))
    covariance = np.pad(row, (0, len(transform)))[np.abs(places[:, None] - places)]
    power: np.ndarray = np.einsum("ij,jk,ik->i", transform, covariance, transform)
    return power


def _correlation_of_power(row: np.ndarray) -> np.ndarray:
    """The correlation of the noise from that of its power, up to the first lag without one."""
    end = next((lag for lag, value in enumerate(row) if value < _LEAST_POWER), len(row))
    return np.where(np.arange(len(row)) < end, np.sqrt(row.clip(0, 1)), 0)
