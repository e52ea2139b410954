"""How noise is correlated between neighbouring voxels: measured in the air, and noise of the same kind drawn anew.

A scanner that fills k-space with zeros, filters or interpolates leaves noise whose neighbours resemble each other.
Where there is no signal, the power (squared magnitude) of complex Gaussian noise has the squared correlation of the
noise itself (I. S. Reed, "On a moment theorem for complex Gaussian processes", 1962), so the air tells it. The sign is
lost; correlations are taken as positive and end at the first lag that shows none. They are treated as separable along
the three axes, which zero-filling is.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage

REACH = 4
_RAYLEIGH_MEAN = float(np.sqrt(np.pi / 2))
_LEAST_AIR = 4000  # voxels, below which the air says too little
_LEAST_POWER = 0.05  # squared correlations below cannot be told from leftovers of signal in the air


def find_air(volume: np.ndarray, sigma: float) -> np.ndarray:
    """Voxels around which the mean is that of pure noise, whatever its correlation.

    Args:
        volume: magnitudes, shape (X, Y, Z), finite.
        sigma: of the noise, in the same units.

    Returns:
        boolean, same shape; masked air (zeros) is not among them.
    """
    size = [min(9, n) if n > 3 else 1 for n in volume.shape]
    mean = ndimage.uniform_filter(volume.astype(np.float32), size)
    alike = np.abs(mean / (_RAYLEIGH_MEAN * sigma) - 1) < 0.3
    return ndimage.binary_erosion(alike, np.ones([3 if n > 3 else 1 for n in volume.shape], bool))


def power_correlation(volume: np.ndarray, sigma: float) -> np.ndarray | None:
    """Correlation of the power in the air at lags 0 to :data:`REACH` along each axis.

    Args:
        volume: magnitudes, shape (X, Y, Z), finite.
        sigma: of the noise, above 0, in the same units.

    Returns:
        shape (3, ``REACH`` + 1), each row from 1 at lag 0; None where there is too little air.
    """
    air = find_air(volume, sigma)
    if np.count_nonzero(air) < _LEAST_AIR:
        return None
    power = np.square(volume.astype(np.float64) / sigma) / 2
    power -= power[air].mean()
    variance = np.square(power[air]).mean()
    found = np.zeros((3, REACH + 1))
    found[:, 0] = 1
    for axis in range(3):
        for lag in range(1, min(REACH, volume.shape[axis] - 1) + 1):
            here, there = np.moveaxis(power, axis, 0)[lag:], np.moveaxis(power, axis, 0)[:-lag]
            both = np.moveaxis(air, axis, 0)[lag:] & np.moveaxis(air, axis, 0)[:-lag]
            if np.count_nonzero(both) >= _LEAST_AIR // 4:
                found[axis, lag] = (here[both] * there[both]).mean() / variance
    return found


def filter_of(correlation: np.ndarray) -> np.ndarray:
    """The symmetric filter that gives white noise this correlation: the square root of its spectrum.

    Args:
        correlation: at lags 0 to R, 1 at lag 0.

    Returns:
        shape (2 R + 1,), sum of squares 1, so that white noise keeps its variance.
    """
    reach, length = len(correlation) - 1, 64
    wrapped = np.zeros(length)
    wrapped[: reach + 1] = correlation
    wrapped[length - reach :] = correlation[:0:-1]
    spectrum = np.clip(np.fft.fft(wrapped).real, 0, None)
    kernel = np.fft.fftshift(np.fft.ifft(np.sqrt(spectrum)).real)[length // 2 - reach : length // 2 + reach + 1]
    return kernel / np.sqrt(np.square(kernel).sum())


def noise_filters(volume: np.ndarray, sigma: float) -> np.ndarray:
    """Filters along the three axes that make white noise like that of a volume.

    Args:
        volume: magnitudes, shape (X, Y, Z), finite.
        sigma: of the noise, above 0, in the same units.

    Returns:
        float32, shape (3, 2 ``REACH`` + 1); those of white noise (1 in the middle) where there is too little air.
    """
    power = power_correlation(volume, sigma)
    filters = np.zeros((3, 2 * REACH + 1), np.float32)
    filters[:, REACH] = 1
    if power is None:
        return filters
    for axis, row in enumerate(power):
        end = next((lag for lag, value in enumerate(row) if value < _LEAST_POWER), len(row))
        if end > 1:
            filters[axis] = filter_of(np.where(np.arange(len(row)) < end, np.sqrt(np.clip(row, 0, 1)), 0))
    return filters


def draw_noise(
    shape: tuple[int, int, int, int], filters: torch.Tensor, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Gaussian noise of variance 1, correlated along the last three axes.

    Args:
        shape: (N, slices, H, W).
        filters: shape (N, 3, odd length), for each item along slices, rows and columns, as :func:`noise_filters` gives.
        generator: on the CPU; None is torch's own.

    Returns:
        float32 of that shape, on the device of ``filters``.
    """
    more = filters.shape[-1] - 1
    n, *rest = shape
    noise = torch.randn(n, *(length + more for length in rest), generator=generator).to(filters.device)
    for axis in range(3):
        last = noise.movedim(1 + axis, -1)
        lines = last.reshape(n, -1, last.shape[-1]).transpose(0, 1)
        lines = F.conv1d(lines, filters[:, axis : axis + 1], groups=n).transpose(0, 1)
        noise = lines.reshape(*last.shape[:-1], -1).movedim(-1, 1 + axis)
    return noise
