"""Adaptive non-local means, by ANTs."""

from __future__ import annotations

import numpy as np

from mri_denoise.benchmarks.baselines.base import Denoiser


def denoise_image(image: np.ndarray, sigma: float) -> np.ndarray:
    """ANTs' DenoiseImage with its Rician model and default radii; it estimates the noise by itself.

    With several threads its results differ a little from run to run; ``ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS=1`` in the
    environment makes them repeatable, and slow.

    Args:
        image: picture or volume.
        sigma: not used.
    """
    import ants

    return ants.denoise_image(ants.from_numpy(image), noise_model="Rician").numpy()


ANTS = Denoiser(
    name="ants",
    label="ANTs DenoiseImage",
    citation="Manjon et al., JMRI 31(1), 192-203, 2010, doi:10.1002/jmri.22003; ANTsPy, noise estimated by itself",
    noise=("rician",),
    function=denoise_image,
    package="ants",
    uses_sigma=False,
    distribution="antspyx",
)
