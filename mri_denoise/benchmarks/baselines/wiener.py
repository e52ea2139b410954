"""The local Wiener filter."""

from __future__ import annotations

import numpy as np
from scipy import signal

from mri_denoise.benchmarks.baselines.base import Denoiser

SIZE = 3


def wiener(image: np.ndarray, sigma: float) -> np.ndarray:
    """Lee's filter: towards the mean of 3 voxels in each direction by the share of noise in the local variance.

    Args:
        image: any number of axes.
        sigma: of the noise, in the image's unit, above 0.
    """
    with np.errstate(divide="ignore"):  # where the image is flat, scipy divides by 0 and then takes the mean
        return signal.wiener(image.astype(np.float64), SIZE, noise=sigma**2)


WIENER = Denoiser(
    name="wiener",
    label="Wiener, 3 voxels",
    citation="Lee, IEEE TPAMI 2(2), 165-168, 1980, doi:10.1109/TPAMI.1980.4766994; scipy.signal.wiener",
    noise=("rician",),
    function=wiener,
    gaussian=True,
    unit_range=True,
    distribution="scipy",
)
