"""The adaptive median filter, for salt and pepper."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from mri_denoise.benchmarks.baselines.base import Denoiser

LARGEST = 7


def adaptive_median(image: np.ndarray, sigma: float = 0.0) -> np.ndarray:
    """Replace impulses by the median of the smallest window in which the median is no impulse itself.

    Around each pixel the window grows from 3 x 3 in steps of 2 until its median lies strictly between its minimum and
    maximum. The pixel then stays if it lies strictly between them too, and otherwise becomes the median. Where no
    window up to 7 x 7 qualifies, it becomes the median of the largest. Borders are reflected.

    Args:
        image: picture (H, W).
        sigma: not used.

    Returns:
        array of the same shape and dtype.
    """
    result = image.copy()
    open_pixels = np.ones(image.shape, dtype=bool)
    for size in range(3, LARGEST + 1, 2):
        low, high = ndimage.minimum_filter(image, size), ndimage.maximum_filter(image, size)
        middle = ndimage.median_filter(image, size)
        settled = open_pixels & (low < middle) & (middle < high)
        impulse = (image <= low) | (image >= high)
        replaced = settled & impulse
        result[replaced] = middle[replaced]
        open_pixels &= ~settled
        if not open_pixels.any():
            return result
    result[open_pixels] = middle[open_pixels]
    return result


ADAPTIVE_MEDIAN = Denoiser(
    name="adaptive_median",
    label="Adaptive median",
    citation="Hwang and Haddad, IEEE TIP 4(4), 499-502, 1995, doi:10.1109/83.370679",
    noise=("salt-pepper",),
    function=adaptive_median,
    dimensions=2,
    uses_sigma=False,
)
