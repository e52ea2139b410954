"""Total variation."""

from __future__ import annotations

import numpy as np

from mri_denoise.benchmarks.baselines.base import Denoiser


def chambolle(image: np.ndarray, sigma: float) -> np.ndarray:
    """Total variation with the weight sigma, in the image's unit.

    Args:
        image: any number of axes.
        sigma: of the noise, in the image's unit; 0 gives the image back.
    """
    from skimage.restoration import denoise_tv_chambolle

    if sigma == 0:
        return image
    return denoise_tv_chambolle(image, weight=sigma)


TOTAL_VARIATION = Denoiser(
    name="tv",
    label="Total variation",
    citation="Chambolle, JMIV 20, 89-97, 2004, doi:10.1023/B:JMIV.0000011325.36760.1e; scikit-image",
    noise=("rician",),
    function=chambolle,
    gaussian=True,
    package="skimage",
    distribution="scikit-image",
)
