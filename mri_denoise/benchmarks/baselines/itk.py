"""Edge-preserving filters of SimpleITK, for volumes."""

from __future__ import annotations

import numpy as np

from mri_denoise.benchmarks.baselines.base import Denoiser

STEPS = 5


def curvature_flow(image: np.ndarray, sigma: float) -> np.ndarray:
    """Curvature anisotropic diffusion, 5 steps of the largest time step that is stable for volumes of unit voxels.

    Args:
        image: volume (X, Y, Z).
        sigma: not used: its conductance is relative to the image's mean gradient.
    """
    import SimpleITK as sitk

    step = 0.0625  # 2^-(dimensions + 1), ITK's bound
    result = sitk.CurvatureAnisotropicDiffusion(sitk.GetImageFromArray(image), step, 3.0, 1, STEPS)
    return sitk.GetArrayFromImage(result)


def bilateral(image: np.ndarray, sigma: float) -> np.ndarray:
    """The bilateral filter with a domain of one voxel and a range of 3 sigma; 0 gives the image back.

    Args:
        image: volume (X, Y, Z).
        sigma: of the noise, in the image's unit.
    """
    import SimpleITK as sitk

    if sigma == 0:
        return image
    return sitk.GetArrayFromImage(sitk.Bilateral(sitk.GetImageFromArray(image), 1.0, 3 * sigma, 100))


CURVATURE = Denoiser(
    name="itk-curvature",
    label="Curvature diffusion (SimpleITK)",
    citation="Whitaker and Xue, IEEE ICIP 2001, doi:10.1109/ICIP.2001.958049; SimpleITK",
    noise=("rician",),
    function=curvature_flow,
    package="SimpleITK",
    dimensions=3,
    uses_sigma=False,
    distribution="simpleitk",
)

BILATERAL = Denoiser(
    name="itk-bilateral",
    label="Bilateral (SimpleITK)",
    citation="Tomasi and Manduchi, IEEE ICCV 1998, doi:10.1109/ICCV.1998.710815; SimpleITK",
    noise=("rician",),
    function=bilateral,
    package="SimpleITK",
    dimensions=3,
    distribution="simpleitk",
)
