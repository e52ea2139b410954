"""Post-process magnitude images: intensity correction, suppression of the air, rounding."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

_HEAD = 0.1  # of the maximum


def find_head(truth: np.ndarray) -> np.ndarray:
    """Find the voxels with a signal above a tenth of the maximum: boolean, in the shape of ``truth``."""
    return truth > _HEAD * truth.max(initial=0)


def receive_profile(sensitivity: np.ndarray, exponent: float) -> np.ndarray:
    """Compute the factor of the prescan normalisation: the inverse of the coils' sensitivity.

    Args:
        sensitivity: root of the sum of squares over the channels, shape (Z, H, W), 1 on average over the head.
        exponent: 1 makes the image even, 0 leaves it as it is.

    Returns:
        float32 factor that multiplies the image.
    """
    return np.maximum(sensitivity, np.float32(0.02)) ** np.float32(-exponent)


def air_factor(truth: np.ndarray, factor: float) -> np.ndarray:
    """Compute the factor of each voxel: 1 in the head, ``factor`` in the air, with a soft edge unless it masks.

    Args:
        truth: noise-free image, shape (Z, H, W).
        factor: 0 masks the air, 1 keeps it.

    Returns:
        float32, in the shape of ``truth``.
    """
    if factor >= 1:
        return np.ones(truth.shape, np.float32)
    widths = [1.5 if n > 8 else 0.0 for n in truth.shape]
    smooth = ndimage.gaussian_filter(truth, widths)
    inside = smooth > 0.03 * truth.max(initial=0)
    labels, count = ndimage.label(inside)
    if count > 1:
        sizes = ndimage.sum_labels(inside, labels, np.arange(1, count + 1))
        inside = labels == 1 + int(np.argmax(sizes))
    inside = np.stack([ndimage.binary_fill_holes(plane) for plane in inside])
    if factor == 0:
        return inside.astype(np.float32)
    edge = ndimage.uniform_filter(inside.astype(np.float32), [1, *(3 if n > 8 else 1 for n in truth.shape[1:])])
    return np.float32(factor) + np.float32(1 - factor) * edge


def round_to_integers(image: np.ndarray, peak: float, levels: int) -> np.ndarray:
    """Round to ``levels`` steps between 0 and ``peak``, as a file of integers does; 0 rounds nothing.

    Args:
        image: at least 0.
        peak: the value of the highest integer in the noise-free image.
        levels: number of integers above 0.
    """
    if levels == 0 or peak <= 0:
        return image
    step = np.float32(peak / levels)
    return np.rint(image / step) * step
