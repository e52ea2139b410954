"""Metrics against scikit-image, SciPy and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from mri_denoise.evaluation import metrics


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    """A smooth blob in a corner of a dark volume, and the same with noise."""
    random = np.random.default_rng(3)
    truth = np.zeros((30, 36, 40), dtype=np.float32)
    truth[4:22, 6:25, 0:26] = 100 + 50 * ndimage.gaussian_filter(random.standard_normal((18, 19, 26)), 1.2)
    noisy = truth + random.normal(0, 6, truth.shape)
    return truth, noisy.astype(np.float32)


def _skimage_map(truth: np.ndarray, noisy: np.ndarray, level: float) -> np.ndarray:
    return structural_similarity(
        truth, noisy, data_range=level, full=True, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )[1]


def test_head_mask_is_what_is_above_ten_of_255() -> None:
    reference = np.array([0, 10, 10.01, 11, 255, np.nan])
    assert metrics.head_mask(reference).tolist() == [False, False, True, True, True, False]
    assert metrics.head_mask(reference[:5] * 4).tolist() == [False, False, True, True, True]


def test_psnr_of_a_constant_error_is_the_formula() -> None:
    truth = np.array([[0.0, 50.0], [100.0, 200.0]])
    assert metrics.psnr(truth, truth + 2) == pytest.approx(20 * np.log10(200 / 2))
    assert metrics.psnr(truth, truth + 2, peak=255) == pytest.approx(20 * np.log10(255 / 2))
    assert metrics.psnr(truth, truth) == np.inf


def test_psnr_takes_the_peak_of_the_whole_reference_and_the_error_of_the_mask() -> None:
    truth, image = np.array([10.0, 20.0, 80.0]), np.array([13.0, 16.0, 0.0])
    mask = np.array([True, True, False])
    assert metrics.psnr(truth, image, mask) == pytest.approx(10 * np.log10(80**2 / ((9 + 16) / 2)))


def test_psnr_of_8_bit_pictures_does_not_wrap_around() -> None:
    truth, image = np.array([[0, 255]], dtype=np.uint8), np.array([[255, 0]], dtype=np.uint8)
    assert metrics.psnr(truth, image, peak=255) == pytest.approx(0)
    assert metrics.mae(truth, image) == 255


def test_psnr_agrees_with_scikit_image(pair: tuple[np.ndarray, np.ndarray]) -> None:
    truth, noisy = pair
    expected = peak_signal_noise_ratio(truth.astype(float), noisy.astype(float), data_range=float(truth.max()))
    assert metrics.psnr(truth, noisy) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_ssim_over_a_mask_agrees_with_scikit_image(pair: tuple[np.ndarray, np.ndarray], dimensions: int) -> None:
    truth, noisy = pair if dimensions == 3 else (pair[0][10], pair[1][10])
    mask = truth > 90
    level = float(truth.max())
    full = _skimage_map(truth.astype(float), noisy.astype(float), level)
    assert metrics.ssim(truth, noisy, mask) == pytest.approx(full[mask].mean(), abs=1e-5)
    assert metrics.ssim(truth, noisy) == pytest.approx(full.mean(), abs=1e-5)
    full = _skimage_map(truth.astype(float), noisy.astype(float), 255)
    assert metrics.ssim(truth, noisy, mask, data_range=255) == pytest.approx(full[mask].mean(), abs=1e-5)


def test_ssim_stays_exact_far_from_zero(pair: tuple[np.ndarray, np.ndarray]) -> None:
    """float32 squares of 20 000 have steps of 32, more than the constants of a range of 100."""
    truth, noisy = pair[0] + 20000, pair[1] + 20000
    expected = _skimage_map(truth.astype(float), noisy.astype(float), 100).mean()
    assert metrics.ssim(truth, noisy, data_range=100) == pytest.approx(expected, abs=1e-3)


def test_ssim_is_one_for_equal_images_and_takes_flat_and_tiny_ones() -> None:
    truth = np.arange(60, dtype=np.float32).reshape(3, 20, 1)
    assert metrics.ssim(truth, truth) == pytest.approx(1)
    flat = np.full((8, 8), 7.0)
    assert metrics.ssim(flat, flat) == pytest.approx(1)


def test_mae_is_the_mean_absolute_error() -> None:
    assert metrics.mae(np.array([1.0, 2.0, 3.0]), np.array([2.0, 0.0, 3.0])) == pytest.approx(1)


def test_hfen_agrees_with_a_convolution_by_the_papers_kernel(pair: tuple[np.ndarray, np.ndarray]) -> None:
    """Kernel of MATLAB's fspecial('log', 15, 1.5), as the paper used it."""
    truth, noisy = pair[0][10].astype(float), pair[1][10].astype(float)
    y, x = np.mgrid[-7:8, -7:8]
    gauss = np.exp(-(x**2 + y**2) / (2 * 1.5**2))
    kernel = gauss / gauss.sum() * (x**2 + y**2 - 2 * 1.5**2) / 1.5**4
    kernel -= kernel.mean()
    filtered, error = (ndimage.convolve(a, kernel, mode="reflect") for a in (truth, noisy - truth))
    expected = np.linalg.norm(error) / np.linalg.norm(filtered)
    assert metrics.hfen(truth, noisy) == pytest.approx(expected, rel=0.02)


def test_hfen_ignores_an_offset_and_punishes_blur(pair: tuple[np.ndarray, np.ndarray]) -> None:
    truth = pair[0]
    assert metrics.hfen(truth, truth + 5) == pytest.approx(0, abs=1e-4)
    slight, strong = (metrics.hfen(truth, ndimage.gaussian_filter(truth, s)) for s in (0.6, 1.2))
    assert 0 < slight < strong < 1


def test_bias_by_intensity_finds_the_lift_of_dark_voxels() -> None:
    """The Rayleigh mean at signal 0 is sigma sqrt(pi / 2); bright voxels are hardly lifted."""
    random = np.random.default_rng(0)
    truth = np.repeat([0.0, 50.0, 100.0], 20000)
    magnitude = np.hypot(truth + 4 * random.standard_normal(truth.size), 4 * random.standard_normal(truth.size))
    edges, bias, counts = metrics.bias_by_intensity(truth, magnitude, bins=5)
    assert edges.tolist() == [0, 20, 40, 60, 80, 100]
    assert counts.tolist() == [20000, 0, 20000, 0, 20000]
    assert bias[0] == pytest.approx(4 * np.sqrt(np.pi / 2), rel=0.02)
    assert bias[4] == pytest.approx(4**2 / (2 * 100), abs=0.1)
    assert np.isnan(bias[[1, 3]]).all()


@pytest.mark.parametrize("measure", [metrics.psnr, metrics.ssim, metrics.mae, metrics.hfen])
def test_voxels_that_are_not_finite_do_not_count(pair: tuple[np.ndarray, np.ndarray], measure) -> None:
    truth, noisy = pair[0].copy(), pair[1].copy()
    truth[0, 30, 30], noisy[1, 30, 30] = np.nan, np.inf
    assert np.isfinite(measure(truth, noisy))


@pytest.mark.parametrize("measure", [metrics.psnr, metrics.ssim, metrics.mae, metrics.hfen, metrics.bias_by_intensity])
def test_unlike_shapes_and_empty_masks_are_refused(measure) -> None:
    a = np.arange(12.0).reshape(3, 4)
    with pytest.raises(ValueError, match="shapes differ"):
        measure(a, a.T)
    with pytest.raises(ValueError, match="no voxel"):
        measure(a, a, mask=np.zeros(a.shape, dtype=bool))


def test_an_all_zero_reference_has_no_peak() -> None:
    with pytest.raises(ValueError, match="peak must be positive"):
        metrics.psnr(np.zeros(4), np.ones(4))
    with pytest.raises(ValueError, match="data range must be positive"):
        metrics.ssim(np.zeros((4, 4)), np.ones((4, 4)))
