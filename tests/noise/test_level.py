"""Noise levels against noise that was added, and the formulas against scipy's distributions."""

from __future__ import annotations

import math
from functools import cache

import nibabel as nib
import numpy as np
import pytest
from nibabel.testing import data_path
from scipy import ndimage, stats

from mri_denoise.noise.level import estimate_series, estimate_sigma
from mri_denoise.noise.rician import grey_step, koay_correction, rayleigh_distance, rayleigh_sigma, rice_moments


@cache
def phantom(shape: tuple[int, int, int] = (96, 96, 32)) -> np.ndarray:
    """Ellipsoids of 1000, 700 and 400 with smooth shading and texture, in air of exactly 0."""
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in shape), indexing="ij")
    volume = np.zeros(shape)
    for value, centre, radii in (
        (400, (0, 0, 0), (0.85, 0.7, 0.9)),
        (700, (0.05, 0, 0), (0.7, 0.58, 0.8)),
        (1000, (-0.3, 0.1, 0), (0.25, 0.3, 0.5)),
    ):
        distance = sum(((a - c) / r) ** 2 for a, c, r in zip((x, y, z), centre, radii, strict=True))
        volume[distance < 1] = value
    texture = ndimage.gaussian_filter(np.random.default_rng(7).standard_normal(shape), 2)
    volume *= 1 + 0.1 * x + 0.03 * texture / texture.std()
    volume = ndimage.gaussian_filter(volume, [0.7 if n > 1 else 0 for n in shape]) * (volume > 0)
    volume.flags.writeable = False
    return volume


def add_noise(clean: np.ndarray, sigma: float | np.ndarray, seed: int = 0) -> np.ndarray:
    """Rician noise."""
    real, imaginary = np.random.default_rng(seed).standard_normal((2, *clean.shape))
    return np.hypot(clean + sigma * real, sigma * imaginary).astype(np.float32)


@pytest.mark.parametrize("percent", [1, 3, 9, 15])
def test_air_gives_sigma_within_three_percent(percent: int) -> None:
    level = estimate_sigma(add_noise(phantom(), 10 * percent))
    assert level.method == "background"
    assert level.sigma == pytest.approx(10 * percent, rel=0.03)


@pytest.mark.parametrize("percent", [1, 3, 9, 15])
def test_masked_air_gives_sigma_within_eight_percent(percent: int) -> None:
    clean = phantom()
    level = estimate_sigma(add_noise(clean, 10 * percent) * (clean > 0))
    assert level.method == "foreground"
    assert level.sigma == pytest.approx(10 * percent, rel=0.08)


@pytest.mark.parametrize("percent", [1, 5, 15])
def test_head_that_fills_the_image(percent: int) -> None:
    filled = phantom()[24:72, 30:66, 8:24]
    assert filled.min() > 100
    assert estimate_sigma(add_noise(filled, 10 * percent)).sigma == pytest.approx(10 * percent, rel=0.1)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("percent", [2, 5, 15])
def test_single_slice(percent: int, masked: bool) -> None:
    clean = phantom((192, 192, 1))
    noisy = add_noise(clean, 10 * percent)
    assert estimate_sigma(noisy * (clean > 0) if masked else noisy).sigma == pytest.approx(10 * percent, rel=0.1)


def test_slice_axis_may_be_any_axis() -> None:
    clean = phantom()
    noisy = add_noise(clean, 40) * (clean > 0)
    turned = np.ascontiguousarray(np.moveaxis(noisy, 2, 0))
    assert estimate_sigma(turned, slice_axis=0) == estimate_sigma(noisy, slice_axis=2) == estimate_sigma(turned)


def test_large_volume_is_sampled_without_bias() -> None:
    clean = np.repeat(np.repeat(phantom((96, 96, 64)), 2, axis=0), 3, axis=2)
    assert estimate_sigma(add_noise(clean, 50), slice_axis=2).sigma == pytest.approx(50, rel=0.03)


def test_series_of_one_receiver() -> None:
    clean = phantom() * np.ones((6, 1, 1, 1))
    clean[0] *= 4  # unweighted: stronger signal, and texture that reads as noise
    clean[0] *= 1 + 0.1 * np.random.default_rng(3).standard_normal(clean[0].shape)
    noisy = np.stack([add_noise(volume, 30, seed) * (volume > 0) for seed, volume in enumerate(clean)])
    alone = estimate_sigma(noisy[0], slice_axis=2)
    assert alone.sigma > 60
    levels = estimate_series(noisy, slice_axis=2)
    assert [level.sigma for level in levels] == pytest.approx([30] * 6, rel=0.05)
    assert levels[0].snr * levels[0].sigma == pytest.approx(alone.snr * alone.sigma)
    assert estimate_series(noisy[:1], slice_axis=2) == [alone]
    quiet = np.stack([add_noise(phantom(), sigma) for sigma in (30, 30, 30, 30, 5)])  # less is believed
    assert estimate_series(quiet)[-1].sigma == pytest.approx(5, rel=0.05)


def test_volumes_in_other_units_have_their_own_level() -> None:
    scales = (1, 3, 0.5, 2, 8)
    stack = np.stack([scale * add_noise(phantom(), 30, seed) for seed, scale in enumerate(scales)])
    levels = [level.sigma / scale for level, scale in zip(estimate_series(stack, slice_axis=2), scales, strict=True)]
    assert levels == pytest.approx([30] * 5, rel=0.05)


def test_empty_volumes_say_nothing_of_the_others() -> None:
    noisy = [add_noise(phantom(), 30, seed) for seed in range(4)]
    levels = estimate_series(np.stack([*noisy, *[np.zeros_like(noisy[0])] * 5]), slice_axis=2)
    assert [level.sigma for level in levels] == pytest.approx([30] * 4 + [0] * 5, rel=0.05)


def test_clean_image_has_next_to_no_noise() -> None:
    assert estimate_sigma(phantom()).sigma < 3  # of 1000: less than what can be seen
    grey = np.round(phantom() / phantom().max() * 255).astype(np.uint8)
    assert estimate_sigma(grey).sigma < 1  # rounding alone is 0.29


def test_rounding_to_few_grey_levels() -> None:
    clean = phantom() / 10
    for sigma in (1.0, 3.0, 8.0):
        noisy = add_noise(clean, sigma)
        assert estimate_sigma(np.round(noisy).astype(np.int16)).sigma == pytest.approx(sigma, rel=0.08)


def test_interpolated_noise_is_measured_in_the_air() -> None:
    rng = np.random.default_rng(3)
    clean = phantom((96, 96, 16))
    noisy = clean + 40 * (rng.standard_normal(clean.shape) + 1j * rng.standard_normal(clean.shape))
    k_space = np.pad(np.fft.fftshift(np.fft.fft2(noisy, axes=(0, 1)), axes=(0, 1)), ((48, 48), (48, 48), (0, 0)))
    filled = 4 * np.abs(np.fft.ifft2(np.fft.ifftshift(k_space, axes=(0, 1)), axes=(0, 1)))
    level = estimate_sigma(filled.astype(np.float32))
    assert level.method == "background"
    assert level.sigma == pytest.approx(40, rel=0.05)


def test_air_that_is_not_rayleigh_is_not_trusted() -> None:
    clean = phantom()
    noisy = add_noise(clean, 40)
    coils = np.sqrt(sum(add_noise(np.zeros_like(clean), 40, seed) ** 2 for seed in range(4)))
    air = ndimage.binary_dilation(clean > 0, iterations=2)
    assert estimate_sigma(np.where(air, noisy, coils)).sigma == pytest.approx(40, rel=0.08)
    suppressed = estimate_sigma(np.where(air, noisy, 0.1 * noisy))
    assert suppressed.method == "foreground"
    assert suppressed.sigma == pytest.approx(40, rel=0.08)


@pytest.mark.parametrize("factor", [1e-6, 0.5, 3.7, 1e6])
@pytest.mark.parametrize("masked", [False, True])
def test_scales_with_the_image(factor: float, masked: bool) -> None:
    clean = phantom()
    noisy = add_noise(clean, 40) * ((clean > 0) if masked else 1)
    level, scaled = estimate_sigma(noisy), estimate_sigma(noisy * np.float32(factor))
    assert scaled.sigma == pytest.approx(factor * level.sigma, rel=1e-3)
    assert scaled.snr == pytest.approx(level.snr, rel=1e-3)


def test_snr_is_signal_over_sigma() -> None:
    flat = np.full((60, 60, 20), 300.0)
    assert estimate_sigma(add_noise(flat, 20)).snr == pytest.approx(15, rel=0.05)
    assert estimate_sigma(add_noise(flat, 150)).snr == pytest.approx(2, rel=0.15)


def test_not_finite_voxels_are_ignored() -> None:
    noisy = add_noise(phantom(), 40)
    noisy[:20] = np.nan
    noisy[50, 50, 10] = np.inf
    noisy[50, 30, 10] = -np.inf
    assert estimate_sigma(noisy).sigma == pytest.approx(40, rel=0.05)


@pytest.mark.parametrize("value", [0, 7.5, -3, np.nan])
def test_constant_volume_has_no_noise(value: float) -> None:
    level = estimate_sigma(np.full((40, 30, 20), value, dtype=np.float32))
    assert level.sigma == 0
    assert level.snr == math.inf


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (2, 2, 1), (1, 64, 1), (3, 3, 3), (5, 4, 2), (64, 2, 64), (64, 64, 2), (9, 9, 9)]
)
def test_tiny_axes(shape: tuple[int, int, int]) -> None:
    noisy = add_noise(np.full(shape, 200.0), 10)
    sigma = estimate_sigma(noisy).sigma
    assert 0 <= sigma < 40
    if noisy.size > 2000:
        assert sigma == pytest.approx(10, rel=0.1)


def test_needs_three_axes() -> None:
    with pytest.raises(ValueError, match="three axes"):
        estimate_sigma(np.zeros((4, 4), dtype=np.float32))


def test_real_brain_is_plausible() -> None:
    volume = (
        nib.Nifti1Image.from_filename(str(data_path / "example4d.nii.gz")).slicer[..., 0].get_fdata(dtype=np.float32)
    )
    level = estimate_sigma(volume)
    assert 5 < level.snr < 100
    # noise that is added is found on top of the volume's own
    sigma = 2 * level.sigma
    noisy = add_noise(volume, sigma) * (volume > 0)
    assert estimate_sigma(noisy).sigma == pytest.approx(math.hypot(sigma, level.sigma), rel=0.1)


@pytest.mark.parametrize("snr", [0, 0.3, 1, 2.5, 8, 20])
def test_rice_moments_against_scipy(snr: float) -> None:
    mean, std = rice_moments(np.array([snr]))
    assert mean[0] == pytest.approx(stats.rice.mean(snr) if snr else stats.rayleigh.mean(), rel=1e-6)
    assert std[0] == pytest.approx(stats.rice.std(snr) if snr else stats.rayleigh.std(), rel=1e-5)


@pytest.mark.parametrize("snr", [0.7, 1, 2.5, 8, 20])
def test_koay_correction_inverts_the_moments(snr: float) -> None:
    sigma = 13.0
    moments = stats.rice.mean(snr, scale=sigma), stats.rice.std(snr, scale=sigma)
    assert koay_correction(np.array(moments[:1]), np.array(moments[1:])) == pytest.approx(sigma, rel=0.01)


def test_koay_correction_of_pure_noise() -> None:
    mean, std = np.array([stats.rayleigh.mean()]), np.array([stats.rayleigh.std()])
    assert koay_correction(5 * mean, 5 * std) == pytest.approx(5, rel=1e-3)
    assert koay_correction(np.array([3.0]), np.array([0.0])) == 0


def test_rayleigh_fit() -> None:
    samples = stats.rayleigh.rvs(scale=6, size=50_000, random_state=1)
    sigma = rayleigh_sigma(samples, 0.0)
    assert sigma == pytest.approx(6, rel=0.01)
    assert rayleigh_distance(samples, sigma) == pytest.approx(
        stats.kstest(samples, "rayleigh", (0, sigma)).statistic, abs=1e-4
    )
    rounded = np.round(samples / 4) * 4
    assert rayleigh_sigma(rounded, grey_step(np.unique(rounded))) == pytest.approx(6, rel=0.02)
    assert rayleigh_distance(rounded, sigma) < 0.02
    assert rayleigh_distance(stats.rice.rvs(2, scale=6, size=20_000, random_state=1), sigma) > 0.1


@pytest.mark.parametrize("value", [60, 300, 500, 800, 2000])
def test_a_frame_of_one_value_hides_no_noise(value: float) -> None:
    image = np.pad(add_noise(phantom(), 40), ((20, 20), (20, 20), (0, 0)), constant_values=value)
    assert estimate_sigma(image, slice_axis=2).sigma == pytest.approx(40, rel=0.05)


def test_tissue_of_one_value_without_noise_is_no_frame() -> None:
    disc = np.zeros((96, 96, 8), dtype=np.float32)
    disc[24:72, 24:72] = 500
    assert estimate_sigma(ndimage.gaussian_filter(disc, (1, 1, 0)), slice_axis=2).sigma == 0
