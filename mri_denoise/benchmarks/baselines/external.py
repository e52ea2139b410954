"""Methods of other packages: SimpleITK, DIPY, ANTs, and the authors' BM3D and BM4D (for non-commercial use only)."""

from __future__ import annotations

import numpy as np

from mri_denoise.benchmarks.baselines.base import Classical

DIFFUSION_STEPS = 5
DIFFUSION_STEP = 0.0625  # 2^-(dimensions + 1), the largest step for which ITK is stable with unit voxels


def curvature_diffusion(image: np.ndarray, sigma: float) -> np.ndarray:
    """Diffuse along edges: five steps of curvature anisotropic diffusion.

    Args:
        image: volume (X, Y, Z).
        sigma: not used: the conductance of 3 is relative to the mean gradient of the image.
    """
    import SimpleITK as sitk

    result = sitk.CurvatureAnisotropicDiffusion(sitk.GetImageFromArray(image), DIFFUSION_STEP, 3.0, 1, DIFFUSION_STEPS)
    return sitk.GetArrayFromImage(result)


def bilateral(image: np.ndarray, sigma: float) -> np.ndarray:
    """Apply the bilateral filter with a domain of one voxel and a range of 3 sigma.

    Args:
        image: volume (X, Y, Z).
        sigma: of the noise, in the unit of the image; 0 returns the image.
    """
    import SimpleITK as sitk

    if sigma == 0:
        return image
    return sitk.GetArrayFromImage(sitk.Bilateral(sitk.GetImageFromArray(image), 1.0, 3 * sigma, 100))


def nlmeans(image: np.ndarray, sigma: float, threads: int | None = 1) -> np.ndarray:
    """Apply blockwise non-local means with patches of 3 and a search of 7 voxels in each direction.

    Args:
        image: volume (X, Y, Z).
        sigma: of the noise, in the unit of the image; 0 returns the image.
        threads: None for all cores. With more than one, DIPY's blocks write to the same voxels at the same time, and
            some voxels differ from run to run.
    """
    from dipy.denoise.nlmeans import nlmeans as dipy_nlmeans

    if sigma == 0:
        return image
    # DIPY neither wraps nor reflects at the border: the margin makes room for its search in thin volumes
    margin = [(4, 4) if n < 9 else (0, 0) for n in image.shape]
    padded = np.pad(image, margin, mode="symmetric")
    result = dipy_nlmeans(padded, sigma=sigma, patch_radius=1, block_radius=3, rician=True, num_threads=threads)
    return result[tuple(slice(low, low + n) for (low, _), n in zip(margin, image.shape, strict=True))]


def ants_denoise_image(image: np.ndarray, sigma: float) -> np.ndarray:
    """Run DenoiseImage of ANTs with its Rician model and default radii; it estimates the noise itself.

    With several threads the results differ a little from run to run. The environment variable
    ``ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS=1`` makes them repeatable, and slow.

    Args:
        image: picture or volume.
        sigma: not used.
    """
    import ants

    return ants.denoise_image(ants.from_numpy(image), noise_model="Rician").numpy()


def bm3d(image: np.ndarray, sigma: float) -> np.ndarray:
    """Run BM3D, block matching and filtering in both stages.

    Args:
        image: picture (H, W).
        sigma: of the noise, in the unit of the image, above 0.
    """
    from bm3d import bm3d as authors_bm3d

    return authors_bm3d(image, sigma)


def bm4d(image: np.ndarray, sigma: float) -> np.ndarray:
    """Run BM4D, block matching in volumes and filtering in both stages.

    Args:
        image: volume (X, Y, Z).
        sigma: of the noise, in the unit of the image, above 0.
    """
    from bm4d import bm4d as authors_bm4d

    return authors_bm4d(image, sigma)


EXTERNAL = (
    Classical(
        name="nlmeans",
        label="Non-local means (DIPY)",
        citation=(
            "Coupe et al., IEEE TMI 27(4), 425-441, 2008, doi:10.1109/TMI.2007.906087; DIPY, block radius 3, Rician"
        ),
        function=nlmeans,
        packages=("dipy",),
        distribution="dipy",
        dimensions=3,
    ),
    Classical(
        name="ants",
        label="ANTs DenoiseImage",
        citation="Manjon et al., JMRI 31(1), 192-203, 2010, doi:10.1002/jmri.22003; ANTsPy, noise estimated by itself",
        function=ants_denoise_image,
        packages=("ants",),
        distribution="antspyx",
        uses_sigma=False,
    ),
    Classical(
        name="bm3d",
        label="BM3D by slice",
        citation="Makinen, Azzari and Foi, IEEE TIP 29, 8339-8354, 2020, doi:10.1109/TIP.2020.3014721; their package",
        function=bm3d,
        packages=("bm3d",),
        distribution="bm3d",
        dimensions=2,
        gaussian=True,
        unit_range=True,
    ),
    Classical(
        name="bm4d",
        label="BM4D",
        citation="Maggioni et al., IEEE TIP 22(1), 119-133, 2013, doi:10.1109/TIP.2012.2210725; their package",
        function=bm4d,
        packages=("bm4d",),
        distribution="bm4d",
        dimensions=3,
        gaussian=True,
        unit_range=True,
    ),
    Classical(
        name="itk-curvature",
        label="Curvature diffusion (SimpleITK)",
        citation="Whitaker and Xue, IEEE ICIP 2001, doi:10.1109/ICIP.2001.958049; SimpleITK",
        function=curvature_diffusion,
        packages=("SimpleITK",),
        distribution="simpleitk",
        dimensions=3,
        uses_sigma=False,
    ),
    Classical(
        name="itk-bilateral",
        label="Bilateral (SimpleITK)",
        citation="Tomasi and Manduchi, IEEE ICCV 1998, doi:10.1109/ICCV.1998.710815; SimpleITK",
        function=bilateral,
        packages=("SimpleITK",),
        distribution="simpleitk",
        dimensions=3,
    ),
)
