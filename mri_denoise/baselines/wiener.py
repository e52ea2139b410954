"""The local Wiener filter."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from mri_denoise.baselines.base import Denoiser, remove_rician_bias

SIZE = 3


def wiener(image: np.ndarray, sigma: float) -> np.ndarray:
    """Lee's filter: towards the mean of 3 voxels in each direction by the share of noise in the local variance.

    ``mean + max(variance - sigma^2, 0) / variance * (image - mean)``, then the correction of Rician bias. It is
    ``scipy.signal.wiener`` with the moments by separable filters, and its noise power given.

    Args:
        image: any number of axes.
        sigma: of the noise, in the image's unit.
    """
    values = image.astype(np.float64)
    mean = ndimage.uniform_filter(values, SIZE)
    variance = np.maximum(ndimage.uniform_filter(np.square(values), SIZE) - np.square(mean), 0)
    gain = np.divide(np.maximum(variance - sigma**2, 0), variance, out=np.zeros_like(variance), where=variance > 0)
    return remove_rician_bias(mean + gain * (values - mean), sigma)


WIENER = Denoiser(
    name="wiener",
    label="Wiener, 3 voxels",
    citation="Lee, IEEE TPAMI 2(2), 165-168, 1980, doi:10.1109/TPAMI.1980.4766994",
    noise=("rician",),
    function=wiener,
)
