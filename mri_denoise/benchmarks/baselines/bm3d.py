"""BM3D, slice by slice. The package is for non-commercial use only."""

from __future__ import annotations

import numpy as np

from mri_denoise.benchmarks.baselines.base import Denoiser


def bm3d(image: np.ndarray, sigma: float) -> np.ndarray:
    """Block matching and filtering in both stages.

    Args:
        image: picture (H, W).
        sigma: of the noise, in the image's unit, above 0.
    """
    from bm3d import bm3d as authors_bm3d

    return authors_bm3d(image, sigma)


BM3D = Denoiser(
    name="bm3d",
    label="BM3D by slice",
    citation="Makinen, Azzari and Foi, IEEE TIP 29, 8339-8354, 2020, doi:10.1109/TIP.2020.3014721; their package",
    noise=("rician",),
    function=bm3d,
    gaussian=True,
    unit_range=True,
    package="bm3d",
    dimensions=2,
    distribution="bm3d",
)
