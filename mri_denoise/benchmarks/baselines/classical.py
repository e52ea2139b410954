"""Classical methods of SciPy and scikit-image, and the adaptive median filter."""

from __future__ import annotations

import numpy as np
from scipy import ndimage, signal

from mri_denoise.benchmarks.baselines.base import Classical

GAUSSIAN_WIDTH = 0.6  # voxels
WINDOW = 3  # voxels in each direction, of the median and the Wiener filter
LARGEST_WINDOW = 7  # pixels, of the adaptive median filter


def identity(image: np.ndarray, sigma: float) -> np.ndarray:
    """Return the noisy image: what every method has to improve on."""
    return image


def gaussian(image: np.ndarray, sigma: float) -> np.ndarray:
    """Smooth with a Gaussian of 0.6 voxel, whatever the noise.

    Args:
        image: any number of axes.
        sigma: not used.
    """
    return ndimage.gaussian_filter(image, GAUSSIAN_WIDTH)


def median(image: np.ndarray, sigma: float) -> np.ndarray:
    """Take the median of 3 voxels in each direction, whatever the noise.

    Args:
        image: any number of axes.
        sigma: not used.
    """
    return ndimage.median_filter(image, WINDOW)


def wiener(image: np.ndarray, sigma: float) -> np.ndarray:
    """Apply Lee's local Wiener filter: ``mean + max(var - sigma^2, 0) / var * (x - mean)`` in windows of 3 voxels.

    Args:
        image: any number of axes.
        sigma: of the noise, in the unit of the image, above 0.
    """
    with np.errstate(divide="ignore"):  # SciPy divides by 0 where the image is flat, and then takes the mean
        return signal.wiener(image.astype(np.float64), WINDOW, noise=sigma**2)


def total_variation(image: np.ndarray, sigma: float) -> np.ndarray:
    """Minimise the total variation by Chambolle's algorithm, with the weight sigma.

    Args:
        image: any number of axes.
        sigma: of the noise, in the unit of the image; 0 returns the image.
    """
    from skimage.restoration import denoise_tv_chambolle

    return image if sigma == 0 else denoise_tv_chambolle(image, weight=sigma)


def bayes_shrink(image: np.ndarray, sigma: float) -> np.ndarray:
    """Threshold each band of a Daubechies wavelet (db2) softly, with the thresholds of BayesShrink.

    Args:
        image: any number of axes, values up to 1: scikit-image clips the result to [0, 1].
        sigma: of the noise, in the unit of the image, above 0.
    """
    from skimage.restoration import denoise_wavelet

    return denoise_wavelet(image, sigma=sigma, wavelet="db2", method="BayesShrink", mode="soft")


def adaptive_median(image: np.ndarray, sigma: float = 0.0) -> np.ndarray:
    """Replace impulses by the median of the smallest window whose median is not an impulse.

    The window around each pixel grows from 3 x 3 in steps of 2 until its median lies strictly between its minimum and
    maximum. A pixel that lies strictly between them stays; another one becomes the median. Where no window up to 7 x 7
    qualifies, the pixel becomes the median of the largest. Borders are reflected.

    Args:
        image: picture (H, W).
        sigma: not used.

    Returns:
        array of the same shape and dtype.
    """
    result = image.copy()
    undecided = np.ones(image.shape, dtype=bool)
    for size in range(3, LARGEST_WINDOW + 1, 2):
        low, high = ndimage.minimum_filter(image, size), ndimage.maximum_filter(image, size)
        middle = ndimage.median_filter(image, size)
        decided = undecided & (low < middle) & (middle < high)
        replaced = decided & ((image <= low) | (image >= high))
        result[replaced] = middle[replaced]
        undecided &= ~decided
        if not undecided.any():
            return result
    result[undecided] = middle[undecided]
    return result


NOISY = Classical(name="noisy", label="Noisy", citation="", function=identity, uses_sigma=False)

CLASSICAL = (
    Classical(
        name="gaussian",
        label="Gaussian, 0.6 voxel",
        citation="scipy.ndimage.gaussian_filter",
        function=gaussian,
        gaussian=True,
        distribution="scipy",
    ),
    Classical(
        name="wiener",
        label="Wiener, 3 voxels",
        citation="Lee, IEEE TPAMI 2(2), 165-168, 1980, doi:10.1109/TPAMI.1980.4766994; scipy.signal.wiener",
        function=wiener,
        gaussian=True,
        unit_range=True,
        distribution="scipy",
    ),
    Classical(
        name="median",
        label="Median, 3 voxels",
        citation="Tukey, Exploratory Data Analysis, 1977; scipy.ndimage.median_filter",
        function=median,
        gaussian=True,
        distribution="scipy",
    ),
    Classical(
        name="tv",
        label="Total variation",
        citation="Chambolle, JMIV 20, 89-97, 2004, doi:10.1023/B:JMIV.0000011325.36760.1e; scikit-image",
        function=total_variation,
        gaussian=True,
        packages=("skimage",),
        distribution="scikit-image",
    ),
    Classical(
        name="wavelet",
        label="Wavelet, BayesShrink",
        citation="Chang, Yu and Vetterli, IEEE TIP 9(9), 1532-1546, 2000, doi:10.1109/83.862633; scikit-image",
        function=bayes_shrink,
        gaussian=True,
        unit_range=True,
        packages=("skimage", "pywt"),
        distribution="scikit-image",
    ),
    Classical(
        name="adaptive_median",
        label="Adaptive median",
        citation="Hwang and Haddad, IEEE TIP 4(4), 499-502, 1995, doi:10.1109/83.370679",
        noise=("salt-pepper",),
        function=adaptive_median,
        dimensions=2,
        uses_sigma=False,
    ),
)
