"""Structures that a result shows and the truth does not."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

_BOX = 3  # voxels
_HEIGHT = 1.0  # sigma


def find_structures(error: np.ndarray, mask: np.ndarray | None = None) -> tuple[int, int]:
    """Find connected regions where the error, averaged over 3 x 3 x 3 voxels, exceeds one sigma.

    Of white noise of one sigma the mean has a standard deviation of 0.19, so that noise alone makes practically none.
    Beyond the border the error counts as 0. Voxels that share a corner are connected.

    Args:
        error: result minus truth in units of sigma, shape (X, Y, Z).
        mask: where to look; everywhere by default.

    Returns:
        the number of regions, and the voxels of the largest.

    Examples:
        >>> error = np.zeros((12, 12, 12))
        >>> error[2:6, 2:6, 2:6] = error[9:11, 9:11, 9:11] = 4
        >>> find_structures(error)[0]
        2
    """
    high = np.abs(ndimage.uniform_filter(error.astype(np.float32), _BOX, mode="constant")) > _HEIGHT
    if mask is not None:
        high &= mask
    labels, count = ndimage.label(high, np.ones((3, 3, 3)))
    largest = int(np.bincount(labels.ravel())[1:].max()) if count else 0
    return int(count), largest


def slow_power(noise: np.ndarray, highest: float = 0.06) -> float:
    """Mean power of the low frequencies, which shows as clouds and bands.

    Args:
        noise: shape (X, Y, Z).
        highest: frequency in cycles a voxel.

    Returns:
        mean squared magnitude of the Fourier coefficients up to that frequency without the mean, divided by the number
        of voxels: the variance of white noise.
    """
    spectrum = np.fft.rfftn(noise - noise.mean(dtype=np.float64))
    axes = [np.fft.fftfreq(n) for n in noise.shape[:2]] + [np.fft.rfftfreq(noise.shape[2])]
    radius = np.sqrt(sum(np.square(grid) for grid in np.meshgrid(*axes, indexing="ij")))
    low = (radius > 0) & (radius <= highest)
    return float(np.square(np.abs(spectrum[low])).mean() / noise.size)
