"""Compare what was removed from a scan with what the same filter removes from simulated noise.

A scan as it comes has no truth. But if the noise that was found is right, then what is removed from the scan must look
like what is removed from its own denoised image with simulated noise of that level, floor and correlation: as strong in
flat tissue and in each part of the image, and no more like the image's edges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from mri_denoise.benchmarks.safety.residual import correlation
from mri_denoise.noise.model import NoiseModel
from mri_denoise.noise.rician import chi_moments

_TISSUE, _TISSUE_SIGMA = 0.1, 4.0  # of the 99th percentile, and of sigma: tissue is above both
_FLAT, _EDGE = 0.3, 0.7  # quantiles of the gradient: flat tissue is below the first, edges are above the second
_RIM, _FAR = 4, 12  # voxels: the rim reaches so far out of tissue, and air begins there
_FEW, _LEAST = 300, 200  # voxels: fewer in a part, or in rim and air, are not measured


@dataclass(frozen=True, kw_only=True)
class Regions:
    """Parts of a volume, boolean, shape (X, Y, slices).

    Args:
        tissue: above the air.
        flat: tissue without edges.
        rim: dark voxels around the tissue.
        air: far from tissue.
        laplacian: of the smoothed image, float32.
    """

    tissue: np.ndarray
    flat: np.ndarray
    rim: np.ndarray
    air: np.ndarray
    laplacian: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Removed:
    """What was removed, in units of the local sigma.

    Args:
        flat: its standard deviation in flat tissue.
        lowest: the lowest of those in nine parts of the image (3 x 3); NaN if no part has enough flat tissue.
        highest: the highest of them.
        rim: its mean in the dark rim around the head; NaN if there is hardly any.
        air: its mean in the air; NaN if there is hardly any.
        edges: its correlation with the Laplacian of the image: near 0 if no edge was taken.
    """

    flat: float
    lowest: float
    highest: float
    rim: float
    air: float
    edges: float


def find_regions(noisy: np.ndarray, denoised: np.ndarray, sigma: np.ndarray) -> Regions:
    """Find the parts in which the residual is measured.

    Args:
        noisy: shape (X, Y, slices).
        denoised: same shape and unit.
        sigma: of the noise at each voxel.
    """
    top = float(np.percentile(denoised, 99))
    tissue = denoised > np.maximum(_TISSUE_SIGMA * sigma, _TISSUE * top)
    gradient = ndimage.gaussian_gradient_magnitude(denoised, (1, 1, 0)) / np.maximum(sigma, 1e-30)
    limit = np.quantile(gradient[tissue], _FLAT) if tissue.any() else 0.0
    square = np.ones((3, 3, 1), dtype=bool)
    near, far = (ndimage.binary_dilation(tissue, square, iterations=steps) for steps in (_RIM, _FAR))
    smooth = ndimage.gaussian_filter(denoised, (0.7, 0.7, 0))
    laplacian = sum(ndimage.convolve1d(smooth, (1, -2, 1), axis=axis) for axis in range(2))
    return Regions(
        tissue=tissue,
        flat=tissue & (gradient < limit),
        rim=near & ~tissue & (noisy > 0),
        air=~far & (noisy > 0),
        laplacian=np.asarray(laplacian, dtype=np.float32),
    )


def score(removed: np.ndarray, regions: Regions) -> Removed:
    """Measure what was removed.

    Args:
        removed: noisy less denoised, divided by the local sigma.
        regions: of :func:`find_regions`.
    """
    parts = []
    for rows in np.array_split(np.arange(removed.shape[0]), 3):
        for columns in np.array_split(np.arange(removed.shape[1]), 3):
            part = np.ix_(rows, columns)
            values = removed[part][regions.flat[part]]
            if values.size > _FEW:
                parts.append(float(values.std()))
    tissue = regions.tissue
    return Removed(
        flat=float(removed[regions.flat].std()) if regions.flat.any() else np.nan,
        lowest=min(parts, default=np.nan),
        highest=max(parts, default=np.nan),
        rim=_mean(removed, regions.rim),
        air=_mean(removed, regions.air),
        edges=correlation(removed[tissue], regions.laplacian[tissue]) if tissue.any() else np.nan,
    )


def explained(denoised: np.ndarray, model: NoiseModel) -> np.ndarray:
    """Compute the mean that the floor of the image adds to the signal, in units of sigma.

    Args:
        denoised: the signal.
        model: of the noise.
    """
    floor = np.maximum(model.sigma * model.floor_ratio, 1e-30)
    signal = np.maximum(denoised, 0)
    found: np.ndarray = (chi_moments(signal / floor, model.coils)[0] * floor - signal) / np.maximum(model.sigma, 1e-30)
    return found


def _mean(values: np.ndarray, inside: np.ndarray) -> float:
    """Mean over a region; NaN if it is small."""
    return float(values[inside].mean()) if inside.sum() > _LEAST else np.nan
