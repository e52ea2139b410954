"""The median filter."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from mri_denoise.benchmarks.baselines.base import Denoiser

SIZE = 3


def median(image: np.ndarray, sigma: float) -> np.ndarray:
    """Median of 3 voxels in each direction, whatever the noise; any number of axes."""
    return ndimage.median_filter(image, SIZE)


MEDIAN = Denoiser(
    name="median",
    label="Median, 3 voxels",
    citation="Tukey, Exploratory Data Analysis, 1977; scipy.ndimage.median_filter",
    noise=("rician",),
    function=median,
    gaussian=True,
    distribution="scipy",
)
