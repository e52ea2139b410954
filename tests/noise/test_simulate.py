"""Simulated noise against SciPy's distributions and the formula of a published simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mri_denoise.noise import simulate as N

SHAPE = (1, 60, 50, 40)


def image(seed: int = 0, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


@pytest.mark.parametrize("snr", [0.0, 0.5, 2.0, 10.0])
def test_rician_moments_are_those_of_rice(snr: float) -> None:
    sigma, count = 3.0, 400_000
    noisy = N.add_rician(np.full(count, snr * sigma, np.float32), sigma, np.random.default_rng(1))
    law = stats.rice(snr, scale=sigma)
    assert noisy.dtype == np.float32
    assert noisy.mean(dtype=float) == pytest.approx(law.mean(), abs=5 * law.std() / np.sqrt(count))
    assert noisy.std(dtype=float) == pytest.approx(law.std(), rel=0.01)
    assert stats.kstest(noisy[:20_000], law.cdf).pvalue > 1e-3


@pytest.mark.parametrize("coils", [2, 4, 8])
@pytest.mark.parametrize("snr", [0.0, 3.0])
def test_several_coils_follow_the_non_central_chi_law(coils: int, snr: float) -> None:
    sigma, count = 0.5, 200_000
    noisy = N.add_rician(np.full(count, snr * sigma, np.float32), sigma, np.random.default_rng(2), coils)
    law = stats.ncx2(2 * coils, snr**2) if snr else stats.chi2(2 * coils)
    power = (noisy.astype(float) / sigma) ** 2
    assert power.mean() == pytest.approx(law.mean(), abs=5 * law.std() / np.sqrt(count))
    assert power.std() == pytest.approx(law.std(), rel=0.02)
    assert stats.kstest(power[:20_000], law.cdf).pvalue > 1e-3


def test_rician_noise_is_drawn_real_part_first() -> None:
    v, s = 254 * image(shape=(20, 21, 22)), 12.7
    rng = np.random.default_rng(7)
    g1, g2 = (rng.standard_normal(v.shape, dtype=np.float32) for _ in range(2))
    wanted = np.sqrt((v + s * g1) ** 2 + (s * g2) ** 2)
    np.testing.assert_allclose(N.add_rician(v, s, np.random.default_rng(7)), wanted, rtol=2e-6)


def test_a_map_of_sigma_scales_the_noise_position_by_position() -> None:
    v = image()
    levels = np.linspace(0, 0.2, SHAPE[-1], dtype=np.float32)
    whole = N.add_rician(v, levels, np.random.default_rng(3))
    for z in (0, 13, 39):
        same = N.add_rician(v, float(levels[z]), np.random.default_rng(3))
        np.testing.assert_allclose(whole[..., z], same[..., z], rtol=1e-6)
    np.testing.assert_allclose(whole[..., 0], v[..., 0], rtol=1e-6)


def test_zero_filled_noise_keeps_its_variance_and_lacks_high_frequencies() -> None:
    noise = np.random.default_rng(0).standard_normal((8, 64, 48)).astype(np.float32)
    assert N.zero_fill(noise, 1.0) is noise
    limited = N.zero_fill(noise, 0.5)
    assert limited.shape == noise.shape and limited.dtype == np.float32
    assert limited.std() == pytest.approx(1, rel=0.05)
    spectrum = np.abs(np.fft.fft2(limited)).mean(0)
    rows, columns = np.abs(np.fft.fftfreq(64)) > 0.25, np.abs(np.fft.fftfreq(48)) > 0.25
    assert spectrum[rows].max() < 1e-3 and spectrum[:, columns].max() < 1e-3
    neighbours = np.corrcoef(limited[:, :, :-1].ravel(), limited[:, :, 1:].ravel())[0, 1]
    assert neighbours == pytest.approx(np.sinc(0.5), abs=0.03)
    # the magnitude of a constant far above the noise has the noise's own spread
    flat = np.full((4, 64, 64), 50.0, dtype=np.float32)
    assert N.add_rician(flat, 1.0, np.random.default_rng(0), coverage=0.5).std() == pytest.approx(1, rel=0.06)


def test_wrong_parameters_are_refused() -> None:
    rng = np.random.default_rng(0)
    for density, share in ((-0.1, 0.5), (1.1, 0.5), (0.2, 2)):
        with pytest.raises(ValueError, match="0, 1"):
            N.add_salt_pepper(image(), density, rng, share)
    for sigma, coils in ((-1.0, 1), (1.0, 0), (np.array([1.0, -1.0]), 1)):
        with pytest.raises(ValueError, match="sigma"):
            N.add_rician(np.ones(2, np.float32), sigma, rng, coils)


@pytest.mark.parametrize("density", [0.0, 0.1, 0.3, 1.0])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.8, 1.0])
def test_salt_and_pepper_have_their_density_and_share(density: float, share: float) -> None:
    v = np.full(200_000, 0.5, np.float32)
    noisy = N.add_salt_pepper(v, density, np.random.default_rng(4), share, pepper=-1, salt=2)
    salt, pepper = (noisy == 2).mean(), (noisy == -1).mean()
    spread = 5 * np.sqrt(0.25 / v.size)
    assert salt == pytest.approx(density * share, abs=spread if 0 < density * share < 1 else 0)
    assert pepper == pytest.approx(density * (1 - share), abs=spread if 0 < density * (1 - share) < 1 else 0)
    assert ((noisy == 0.5) | (noisy == 2) | (noisy == -1)).all()
    assert (v == 0.5).all()


def test_salt_and_pepper_fall_independently_of_place_and_image() -> None:
    noisy = N.add_salt_pepper(np.full((400, 400), 0.5, np.float32), 0.3, np.random.default_rng(5))
    hit = (noisy != 0.5).astype(float)
    for axis in (0, 1):
        a, b = hit.take(range(399), axis), hit.take(range(1, 400), axis)
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.015


def test_the_smooth_field_is_smooth_and_in_its_range() -> None:
    for shape in ((40,), (40, 30), (40, 30, 20), (1, 7)):
        field = N.smooth_field(shape, np.random.default_rng(0), 1.0, 2.0)
        assert field.shape == shape and field.min() >= 1 and field.max() <= 2
    field = N.smooth_field((60, 60), np.random.default_rng(0), 1.0, 2.0)
    assert field.std() > 0.05 and np.abs(np.diff(field, axis=0)).max() < 0.1
