"""BM3D, slice by slice. The package is for non-commercial use only."""

from __future__ import annotations

import numpy as np

from mri_denoise.baselines.base import Denoiser, remove_rician_bias


def bm3d(image: np.ndarray, sigma: float) -> np.ndarray:
    """Block matching and filtering in both stages, then the correction of Rician bias.

    Args:
        image: picture (H, W).
        sigma: of the noise, in the image's unit; 0 gives the image back.
    """
    from bm3d import bm3d as authors_bm3d

    peak = float(np.abs(image).max())
    if sigma == 0 or peak == 0:
        return image
    return remove_rician_bias(authors_bm3d(image / peak, sigma / peak) * peak, sigma)


BM3D = Denoiser(
    name="bm3d",
    label="BM3D by slice",
    citation="Makinen, Azzari and Foi, IEEE TIP 29, 8339-8354, 2020, doi:10.1109/TIP.2020.3014721; their package",
    noise=("rician",),
    function=bm3d,
    package="bm3d",
    dimensions=2,
    distribution="bm3d",
)
