"""Measures of a restored image against its reference: pure functions of NumPy arrays of any dimension.

All take ``reference`` and ``image`` of the same shape and unit, and an optional ``mask`` of that shape: only voxels
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
    """Find the head without the air around it: voxels above 10/255 of the maximum of a clean reference.

    It is the mask of the published BrainWeb comparisons (Manjon et al., Medical Image Analysis 16(1), 18-27, 2012, and
    their scripts), in which the maximum is 255 and the head is brighter than 10.

    Args:
        reference: image of any shape, at least 0 in tissue.

    Returns:
        boolean array of the same shape.

    Examples:
        >>> head_mask(np.array([0.0, 9.0, 11.0, 255.0])).tolist()
        [False, False, True, True]
    """
    return reference > 10 / 255 * _peak(reference)


def psnr(reference: np.ndarray, image: np.ndarray, mask: np.ndarray | None = None, peak: float | None = None) -> float:
    """Peak signal-to-noise ratio in dB, higher is better: ``20 log10(R / RMSE)``.

    RMSE is the root of the mean of ``(image - reference)^2``. It is the definition that Wang, Bovik, Sheikh and
    Simoncelli (2004, see :func:`ssim`) compare SSIM with, and scikit-image's ``peak_signal_noise_ratio``.

    Args:
        reference: truth, any shape.
        image: the image that is scored, same shape and unit.
        mask: voxels that count; all by default.
        peak: R, in the same unit; the maximum of the whole reference by default (255 for 8-bit pictures).

    Returns:
        decibels; infinity if the two are equal.

    Raises:
        ValueError: if shapes differ, no voxel counts, or the peak is not positive.

    Examples:
        >>> psnr(np.array([0.0, 100.0]), np.array([1.0, 99.0]))
        40.0
    """
    valid = _valid(reference, image, mask)
    top = _peak(reference) if peak is None else float(peak)
    if not top > 0:
        raise ValueError(f"the peak must be positive, not {top:g}")
    error = image[valid].astype(np.float32) - reference[valid].astype(np.float32)
    mse = float(np.mean(np.square(error), dtype=np.float64))
    return float("inf") if mse == 0 else 20 * float(np.log10(top / np.sqrt(mse)))


def mae(reference: np.ndarray, image: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Mean absolute error in the unit of the images, lower is better: ``mean(|image - reference|)``.

    Args:
        reference: truth, any shape.
        image: the image that is scored, same shape and unit.
        mask: voxels that count; all by default.

    Raises:
        ValueError: if shapes differ or no voxel counts.

    Examples:
        >>> mae(np.array([0.0, 100.0]), np.array([1.0, 98.0]))
        1.5
    """
    valid = _valid(reference, image, mask)
    error = image[valid].astype(np.float32) - reference[valid].astype(np.float32)
    return float(np.mean(np.abs(error), dtype=np.float64))


def ssim(
    reference: np.ndarray, image: np.ndarray, mask: np.ndarray | None = None, data_range: float | None = None
) -> float:
    """Mean structural similarity, higher is better, at most 1.

    ``SSIM = (2 mx my + C1) (2 sxy + C2) / ((mx^2 + my^2 + C1) (sx^2 + sy^2 + C2))`` with ``C1 = (0.01 L)^2`` and
    ``C2 = (0.03 L)^2``, averaged over the mask: equation 13 of Wang, Bovik, Sheikh and Simoncelli, IEEE Transactions on
    Image Processing 13(4), 600-612, 2004, doi:10.1109/TIP.2003.819861. Means, variances and the population covariance
    are those under their Gaussian window (sigma 1.5 voxels, radius 5) along all axes of the array. It is scikit-image's
    ``structural_similarity`` with ``gaussian_weights=True, sigma=1.5, use_sample_covariance=False``, in float32 and on
    the bounding box of the mask alone.

    Args:
        reference: truth, any shape; axes of one voxel are allowed.
        image: the image that is scored, same shape and unit.
        mask: voxels over which the map is averaged; all by default.
        data_range: L, in the same unit; the maximum of the whole reference by default (255 for 8-bit pictures).

    Returns:
        the mean, from -1 to 1; 1 if the two are equal.

    Raises:
        ValueError: if shapes differ, no voxel counts, or the range is not positive.

    Examples:
        >>> image = np.arange(256.0).reshape(16, 16)
        >>> ssim(image, image)
        1.0
    """
    valid = _valid(reference, image, mask)
    level = _peak(reference) if data_range is None else float(data_range)
    if not level > 0:
        raise ValueError(f"the data range must be positive, not {level:g}")
    box = _bounding_box(valid, _SSIM_RADIUS)
    x, y = _finite_float32(reference[box]), _finite_float32(image[box])
    # Variances do not depend on an offset; without it, float32 stays exact where intensities are far from 0.
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
    """High-frequency error norm, lower is better: ``||LoG(image) - LoG(reference)|| / ||LoG(reference)||``.

    LoG is the Laplacian of a Gaussian of sigma 1.5 voxels on 15 voxels of Ravishankar and Bresler, IEEE Transactions on
    Medical Imaging 30(5), 1028-1041, 2011, doi:10.1109/TMI.2010.2090538. They use the numerator; dividing it by the
    norm of the reference makes images of different size and scale comparable. It shows a loss of edges and of fine
    texture, which PSNR hardly does.

    Args:
        reference: truth, any shape.
        image: the image that is scored, same shape and unit.
        mask: voxels that count; all by default.

    Returns:
        the norm, from 0, which means that the two are equal.

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
    """Mean error as a function of the true intensity, closer to 0 is better: ``mean(image - reference)`` in each bin.

    Rician noise raises dark voxels (Gudbjartsson and Patz, Magnetic Resonance in Medicine 34(6), 910-914, 1995,
    doi:10.1002/mrm.1910340618). A denoiser that leaves this bias, or darkens thin bright structures, shows it here, but
    not in PSNR.

    Args:
        reference: truth, any shape.
        image: the image that is scored, same shape and unit.
        bins: number of bins of equal width over the range of the reference, or the edges of the bins.
        mask: voxels that count; all by default.

    Returns:
        edges of the bins, shape (bins + 1,), and mean errors, shape (bins,), NaN where a bin is empty, both in the unit
        of the images; numbers of voxels, shape (bins,).

    Raises:
        ValueError: if shapes differ or no voxel counts.

    Examples:
        >>> edges, errors, counts = bias_by_intensity(np.array([0.0, 1.0, 10.0]), np.array([2.0, 1.0, 9.0]), bins=2)
        >>> edges.tolist(), errors.tolist(), counts.tolist()
        ([0.0, 5.0, 10.0], [1.0, -1.0], [2, 1])
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
    """The bounding box of the mask with a margin for a filter of that radius."""
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    return tuple(slice(max(s.start - margin, 0), s.stop + margin) for s in box)


def _laplacian_of_gaussian(array: np.ndarray) -> np.ndarray:
    return ndimage.gaussian_laplace(array, _LOG_SIGMA, mode="reflect", radius=_LOG_RADIUS)
