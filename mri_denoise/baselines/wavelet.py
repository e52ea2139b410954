"""Wavelet thresholding."""

from __future__ import annotations

import numpy as np

from mri_denoise.baselines.base import Denoiser, remove_rician_bias


def bayes_shrink(image: np.ndarray, sigma: float) -> np.ndarray:
    """Soft thresholds of BayesShrink for each band of a Daubechies wavelet, then the correction of Rician bias.

    Args:
        image: any number of axes.
        sigma: of the noise, in the image's unit; 0 gives the image back.
    """
    from skimage.restoration import denoise_wavelet

    peak = float(np.abs(image).max())
    if sigma == 0 or peak == 0:
        return image
    # scikit-image clips the result to [0, 1]
    result = denoise_wavelet(
        image / np.float32(peak), sigma=sigma / peak, wavelet="db2", method="BayesShrink", mode="soft"
    )
    return remove_rician_bias(result * peak, sigma)


WAVELET = Denoiser(
    name="wavelet",
    label="Wavelet, BayesShrink",
    citation="Chang, Yu and Vetterli, IEEE TIP 9(9), 1532-1546, 2000, doi:10.1109/83.862633; scikit-image",
    noise=("rician",),
    function=bayes_shrink,
    package="pywt",
    distribution="scikit-image",
)
