"""Measures of a restored image against its reference: pure functions of numpy arrays of any dimension.

All take ``reference`` and ``image`` of one shape and in one unit, and an optional ``mask`` of that shape: only voxels
where it is true count. Voxels that are not finite in either array never count.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

_SSIM_SIGMA = 1.5
_SSIM_RADIUS = 5  # scikit-image: int(3.5 * sigma + 0.5)
_LOG_SIGMA = 1.5
_LOG_RADIUS = 7  # a kernel of 15


def head_mask(reference: np.ndarray) -> np.ndarray:
    """The head without the air around it: voxels above 10/255 of the maximum of a clean reference.

    It is the mask of the published BrainWeb comparisons (Manjon et al., Medical Image Analysis 16(1), 18-27, 2012, and
    their scripts), where the maximum is 255 and the head is what is brighter than 10.

    Args:
        reference: image of any shape, at least 0 in tissue.

    Returns:
        Boolean array of the same shape.
    """
    return reference > 10 / 255 * _peak(reference)


def psnr(reference: np.ndarray, image: np.ndarray, mask: np.ndarray | None = None, peak: float | None = None) -> float:
    """Peak signal-to-noise ratio in dB, higher is better: 20 log10(R / RMSE).

    Args:
        reference: truth, any shape.
        image: what is judged, same shape and unit.
        mask: voxels that count; all by default.
        peak: R, the maximum of the whole reference by default (255 for 8-bit pictures).

    Returns:
        Decibels; infinity if the two are equal.

    Raises:
        ValueError: if shapes differ, no voxel counts, or the peak is not positive.
    """
    valid = _valid(reference, image, mask)
    top = _peak(reference) if peak is None else float(peak)
    if not top > 0:
        raise ValueError(f"the peak must be positive, not {top:g}")
    error = image[valid].astype(np.float32) - reference[valid].astype(np.float32)
    mse = float(np.mean(np.square(error), dtype=np.float64))
    return float("inf") if mse == 0 else 20 * float(np.log10(top / np.sqrt(mse)))


def mae(reference: np.ndarray, image: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Mean absolute error in the images' unit, lower is better: mean |image - reference|.

    Raises:
        ValueError: if shapes differ or no voxel counts.
    """
    valid = _valid(reference, image, mask)
    error = image[valid].astype(np.float32) - reference[valid].astype(np.float32)
    return float(np.mean(np.abs(error), dtype=np.float64))


def ssim(
    reference: np.ndarray, image: np.ndarray, mask: np.ndarray | None = None, data_range: float | None = None
) -> float:
    """Mean structural similarity, higher is better, at most 1.

    Wang, Bovik, Sheikh and Simoncelli, IEEE Transactions on Image Processing 13(4), 600-612, 2004, equation 13, with
    their Gaussian window (sigma 1.5 voxels, radius 5, in all dimensions of the array), K1 = 0.01, K2 = 0.03 and
    population covariances, averaged over the mask. It is scikit-image's ``structural_similarity`` with
    ``gaussian_weights=True, sigma=1.5, use_sample_covariance=False``, in float32 on the mask's bounding box only.

    Args:
        reference: truth, any shape; axes of one voxel are allowed.
        image: what is judged, same shape and unit.
        mask: voxels over which the map is averaged; all by default.
        data_range: L in the constants, the maximum of the whole reference by default (255 for 8-bit pictures).

    Raises:
        ValueError: if shapes differ, no voxel counts, or the range is not positive.
    """
    valid = _valid(reference, image, mask)
    level = _peak(reference) if data_range is None else float(data_range)
    if not level > 0:
        raise ValueError(f"the data range must be positive, not {level:g}")
    box = _bounding_box(valid, _SSIM_RADIUS)
    x, y = _finite_float32(reference[box]), _finite_float32(image[box])
    # Variances do not depend on an offset; taking it away keeps float32 exact where intensities are far from 0.
    offset = np.float32(x.mean(dtype=np.float64))
    x, y = x - offset, y - offset

    def local_mean(array: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(array, _SSIM_SIGMA, mode="reflect", radius=_SSIM_RADIUS)

    mean_x, mean_y = local_mean(x), local_mean(y)
    covariance = local_mean(x * y) - mean_x * mean_y
    variances = local_mean(x * x + y * y) - (mean_x * mean_x + mean_y * mean_y)
    mean_x += offset
    mean_y += offset
    c1, c2 = np.float32((0.01 * level) ** 2), np.float32((0.03 * level) ** 2)
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    similarity /= (mean_x * mean_x + mean_y * mean_y + c1) * (variances + c2)
    return float(similarity[valid[box]].mean(dtype=np.float64))


def hfen(reference: np.ndarray, image: np.ndarray, mask: np.ndarray | None = None) -> float:
    """High-frequency error norm, lower is better: ||LoG(image) - LoG(reference)|| / ||LoG(reference)||.

    LoG is the Laplacian of a Gaussian of sigma 1.5 voxels on 15 voxels, of Ravishankar and Bresler, IEEE Transactions
    on Medical Imaging 30(5), 1028-1041, 2011, doi:10.1109/TMI.2010.2090538. Theirs is the numerator; dividing by the
    reference's own norm makes images of different size and scale comparable. It shows lost edges and fine texture,
    which PSNR hardly does.

    Raises:
        ValueError: if shapes differ, no voxel counts, or the reference is constant.
    """
    valid = _valid(reference, image, mask)
    box = _bounding_box(valid, _LOG_RADIUS)
    x, y = _finite_float32(reference[box]), _finite_float32(image[box])
    truth = _laplacian_of_gaussian(x)[valid[box]]
    error = _laplacian_of_gaussian(y - x)[valid[box]]
    scale = float(np.linalg.norm(truth.astype(np.float64)))
    if scale == 0:
        raise ValueError("the reference is constant: it has no high frequencies to compare with")
    return float(np.linalg.norm(error.astype(np.float64))) / scale


def bias_by_intensity(
    reference: np.ndarray, image: np.ndarray, bins: int | np.ndarray = 16, mask: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean error as a function of the true intensity: mean(image - reference) within bins of the reference.

    Rician noise lifts dark voxels (Gudbjartsson and Patz, Magnetic Resonance in Medicine 34(6), 910-914, 1995); a
    denoiser that leaves that bias, or darkens thin bright structures, shows it here and not in PSNR.

    Args:
        reference: truth, any shape.
        image: what is judged, same shape and unit.
        bins: number of bins of equal width over the range of the reference, or the bins' edges.
        mask: voxels that count; all by default.

    Returns:
        Bin edges (bins + 1) and mean error (bins; NaN where empty), both in the images' unit, and voxel counts (bins).

    Raises:
        ValueError: if shapes differ or no voxel counts.
    """
    valid = _valid(reference, image, mask)
    truth = reference[valid].astype(np.float64)
    counts, edges = np.histogram(truth, bins=bins)
    sums, _ = np.histogram(truth, bins=edges, weights=image[valid].astype(np.float64) - truth)
    means = np.divide(sums, counts, out=np.full(len(counts), np.nan), where=counts > 0)
    return edges, means, counts


def _valid(reference: np.ndarray, image: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    if reference.shape != image.shape or (mask is not None and mask.shape != reference.shape):
        shapes = " and ".join(str(a.shape) for a in (reference, image, mask) if a is not None)
        raise ValueError(f"shapes differ: {shapes}")
    valid = np.isfinite(reference) & np.isfinite(image)
    if mask is not None:
        valid &= mask.astype(bool)
    if not valid.any():
        raise ValueError("no voxel to compare: the mask is empty, or nothing in it is finite")
    return valid


def _peak(reference: np.ndarray) -> float:
    return float(reference[np.isfinite(reference)].max())


def _finite_float32(array: np.ndarray) -> np.ndarray:
    return np.nan_to_num(array.astype(np.float32), copy=False, nan=0.0, posinf=0.0, neginf=0.0)


def _bounding_box(mask: np.ndarray, margin: int) -> tuple[slice, ...]:
    """Slices of the mask's bounding box, wide enough that a filter of that radius sees all it needs."""
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    return tuple(slice(max(s.start - margin, 0), s.stop + margin) for s in box)


def _laplacian_of_gaussian(array: np.ndarray) -> np.ndarray:
    return ndimage.gaussian_laplace(array, _LOG_SIGMA, mode="reflect", radius=_LOG_RADIUS)
