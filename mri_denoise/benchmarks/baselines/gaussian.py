"""Gaussian smoothing."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from mri_denoise.benchmarks.baselines.base import Denoiser

WIDTH = 0.6


def smooth(image: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian of 0.6 voxel, whatever the noise; any number of axes."""
    return ndimage.gaussian_filter(image, WIDTH)


GAUSSIAN = Denoiser(
    name="gaussian",
    label="Gaussian, 0.6 voxel",
    citation="scipy.ndimage.gaussian_filter",
    noise=("rician",),
    function=smooth,
    gaussian=True,
    distribution="scipy",
)
