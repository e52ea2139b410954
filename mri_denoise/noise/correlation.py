"""How noise is correlated between neighbouring voxels.

A scanner that fills k-space with zeros, filters or interpolates leaves noise whose neighbours resemble each other.
Where there is no signal, the power (squared magnitude) of complex Gaussian noise has the squared correlation of the
noise itself (I. S. Reed, "On a moment theorem for complex Gaussian processes", 1962), so the air tells it. The sign is
lost; correlations are taken as positive and end at the first lag that shows none. Where the air is masked or is not
pure noise, the measured share of k-space tells as much of zero-filling: noise of a band is correlated as a sinc. Either
way it is treated as separable along the three axes, which zero-filling is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from mri_denoise.noise.blocks import central
from mri_denoise.noise.level import SERIES, estimate_sigma
from mri_denoise.noise.zero_filling import measured_bands

REACH = 4
_RAYLEIGH_MEAN = float(np.sqrt(np.pi / 2))
_LEAST_AIR = 4000  # voxels, below which the air says too little
_AGREE = 0.1  # difference of correlations
_LEAST_POWER = 0.05  # squared correlations below cannot be told from leftovers of signal in the air


def find_air(volume: np.ndarray, sigma: float) -> np.ndarray:
    """Voxels around which the mean is that of pure noise, whatever its correlation.

    Args:
        volume: magnitudes, shape (X, Y, Z), finite.
        sigma: of the noise, in the same units.

    Returns:
        boolean, same shape; masked air (zeros) is not among them.
    """
    mean = ndimage.uniform_filter(volume.astype(np.float32), _window(volume.shape))
    alike = np.abs(mean / (_RAYLEIGH_MEAN * sigma) - 1) < 0.3
    return ndimage.binary_erosion(alike, np.ones([3 if n > 3 else 1 for n in volume.shape], bool))


def _window(shape: Sequence[int]) -> list[int]:
    """Voxels along each axis that a local mean is taken over."""
    return [min(9, n) if n > 3 else 1 for n in shape]


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
    power = np.where(air, np.square(volume / np.float32(sigma)) / 2, np.float32(0))
    # what little signal the air holds (ghosts) varies slowly
    window = _window(volume.shape)
    share = ndimage.uniform_filter(air.astype(np.float32), window)
    power -= ndimage.uniform_filter(power, window) / share.clip(1e-3)
    variance = np.square(power[air]).mean()
    found = np.eye(1, REACH + 1).repeat(3, axis=0)
    for axis in range(3):
        for lag in range(1, min(REACH, volume.shape[axis] - 1) + 1):
            here, there = np.moveaxis(power, axis, 0)[lag:], np.moveaxis(power, axis, 0)[:-lag]
            both = np.moveaxis(air, axis, 0)[lag:] & np.moveaxis(air, axis, 0)[:-lag]
            if np.count_nonzero(both) >= _LEAST_AIR // 4:
                found[axis, lag] = (here[both] * there[both]).mean() / variance
    return found


def noise_correlation(volumes: np.ndarray, slice_axis: int) -> np.ndarray:
    """Correlation of the noise with its neighbours along each axis, by the slices in the middle.

    Args:
        volumes: magnitudes, shape (T, X, Y, Z), all sampled alike; what is not finite is ignored.
        slice_axis: the axis across slices.

    Returns:
        shape (3, :data:`REACH` + 1), each row from 1 at lag 0; zeros follow where noise is white, or nothing tells.
    """
    found = np.eye(1, REACH + 1).repeat(3, axis=0)
    slices, of_air = [], []
    for t in np.linspace(0, len(volumes) - 1, min(len(volumes), SERIES)).astype(int):
        level = estimate_sigma(volumes[t], slice_axis=slice_axis)
        if level.sigma == 0:
            continue
        middle = central(np.moveaxis(np.asarray(volumes[t], dtype=np.float32), slice_axis, 2))
        slices.append(np.nan_to_num(middle, posinf=0, neginf=0))
        power = power_correlation(slices[-1], level.sigma) if level.method == "background" else None
        if power is not None:
            of_air.append(power)
    if not slices:
        return found
    in_order = [*(axis for axis in range(3) if axis != slice_axis), slice_axis]
    bands = (*measured_bands(np.concatenate(slices, axis=2)), 1.0)
    for place, (axis, band) in enumerate(zip(in_order, bands, strict=True)):
        row = np.sinc(band * np.arange(REACH + 1)) if band < 1 else found[axis]
        if of_air:  # the air decides; where the spectrum agrees, all lags of its sinc are known
            measured = _of_power(np.mean(of_air, axis=0)[place])
            row = row if measured[1] > 0 and abs(measured[1] - row[1]) < _AGREE else measured
        found[axis] = row
    return found


def _of_power(row: np.ndarray) -> np.ndarray:
    """Correlation of the noise from that of its power, up to the first lag that shows none."""
    end = next((lag for lag, value in enumerate(row) if value < _LEAST_POWER), len(row))
    return np.where(np.arange(len(row)) < end, np.sqrt(row.clip(0, 1)), 0)
