"""Gaussian smoothing."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from mri_denoise.baselines.base import Denoiser, remove_rician_bias

WIDTH = 0.6


def smooth(image: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian of 0.6 voxel whatever the noise, then the correction of Rician bias.

    Args:
        image: any number of axes.
        sigma: of the noise, in the image's unit.
    """
    return remove_rician_bias(ndimage.gaussian_filter(image, WIDTH), sigma)


GAUSSIAN = Denoiser(
    name="gaussian",
    label="Gaussian, 0.6 voxel",
    citation="scipy.ndimage.gaussian_filter",
    noise=("rician",),
    function=smooth,
    distribution="scipy",
)
