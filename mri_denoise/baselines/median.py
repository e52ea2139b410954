"""The median filter."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from mri_denoise.baselines.base import Denoiser, remove_rician_bias

SIZE = 3


def median(image: np.ndarray, sigma: float) -> np.ndarray:
    """Median of 3 voxels in each direction, then the correction of Rician bias (none for ``sigma`` 0).

    Args:
        image: any number of axes.
        sigma: of the noise, in the image's unit.
    """
    return remove_rician_bias(ndimage.median_filter(image, SIZE), sigma)


MEDIAN = Denoiser(
    name="median",
    label="Median, 3 voxels",
    citation="Tukey, Exploratory Data Analysis, 1977; scipy.ndimage.median_filter",
    noise=("rician",),
    function=median,
    distribution="scipy",
)
