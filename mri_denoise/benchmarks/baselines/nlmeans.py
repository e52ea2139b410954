"""Non-local means for Rician noise, by DIPY."""

from __future__ import annotations

import numpy as np

from mri_denoise.benchmarks.baselines.base import Denoiser


def nlmeans(image: np.ndarray, sigma: float, threads: int | None = 1) -> np.ndarray:
    """Blockwise non-local means with patches of 3 and a search of 7 voxels in each direction.

    Args:
        image: volume (X, Y, Z).
        sigma: of the noise, in the image's unit; 0 gives the image back.
        threads: None for all cores. With more than one, DIPY's blocks write to the same voxels at the same time, so
            that some voxels differ from run to run.
    """
    from dipy.denoise.nlmeans import nlmeans as dipy_nlmeans

    if sigma == 0:
        return image
    # DIPY's search does not wrap or reflect: a margin lets images of one slice or with thin borders through
    margin = [(4, 4) if n < 9 else (0, 0) for n in image.shape]
    padded = np.pad(image, margin, mode="symmetric")
    result = dipy_nlmeans(padded, sigma=sigma, patch_radius=1, block_radius=3, rician=True, num_threads=threads)
    return result[tuple(slice(low, low + n) for (low, _), n in zip(margin, image.shape, strict=True))]


NLMEANS = Denoiser(
    name="nlmeans",
    label="Non-local means (DIPY)",
    citation="Coupe et al., IEEE TMI 27(4), 425-441, 2008, doi:10.1109/TMI.2007.906087; DIPY, block radius 3, Rician",
    noise=("rician",),
    function=nlmeans,
    package="dipy",
    dimensions=3,
    distribution="dipy",
)
