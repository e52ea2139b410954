"""Wavelet thresholding."""

from __future__ import annotations

import numpy as np

from mri_denoise.benchmarks.baselines.base import Denoiser


def bayes_shrink(image: np.ndarray, sigma: float) -> np.ndarray:
    """Soft thresholds of BayesShrink for each band of a Daubechies wavelet.

    Args:
        image: any number of axes, at most 1: scikit-image clips the result to [0, 1].
        sigma: of the noise, in the image's unit, above 0.
    """
    from skimage.restoration import denoise_wavelet

    return denoise_wavelet(image, sigma=sigma, wavelet="db2", method="BayesShrink", mode="soft")


WAVELET = Denoiser(
    name="wavelet",
    label="Wavelet, BayesShrink",
    citation="Chang, Yu and Vetterli, IEEE TIP 9(9), 1532-1546, 2000, doi:10.1109/83.862633; scikit-image",
    noise=("rician",),
    function=bayes_shrink,
    gaussian=True,
    unit_range=True,
    package="pywt",
    distribution="scikit-image",
)
