"""BM4D. The package is for non-commercial use only."""

from __future__ import annotations

import numpy as np

from mri_denoise.benchmarks.baselines.base import Denoiser


def bm4d(image: np.ndarray, sigma: float) -> np.ndarray:
    """Block matching in volumes, both stages.

    Args:
        image: volume (X, Y, Z).
        sigma: of the noise, in the image's unit, above 0.
    """
    from bm4d import bm4d as authors_bm4d

    return authors_bm4d(image, sigma)


BM4D = Denoiser(
    name="bm4d",
    label="BM4D",
    citation="Maggioni et al., IEEE TIP 22(1), 119-133, 2013, doi:10.1109/TIP.2012.2210725; their package",
    noise=("rician",),
    function=bm4d,
    gaussian=True,
    unit_range=True,
    package="bm4d",
    dimensions=3,
    distribution="bm4d",
)
