"""The noise's correlation, measured in volumes whose noise was made with a known one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from mri_denoise.noise.correlation import noise_correlation
from mri_denoise.noise.simulate import add_rician, noise_filters
from tests.phantoms import head

SHAPE = (112, 128, 20)  # slices along the last axis
WHITE = np.eye(1, 5).repeat(3, axis=0)
LAGS = np.arange(5)


def noisy_head(level: float, coverage: float = 1.0, *, masked: bool = False) -> np.ndarray:
    """A head on the scale [0, 1000] with noise, zero-filled within slices."""
    clean = 1000 * head((*SHAPE[:2], 60))[:, :, 20:40].astype(np.float32)
    moved = np.moveaxis(clean, 2, 0)
    noisy = np.moveaxis(add_rician(moved, level, np.random.default_rng(0), coverage=coverage), 0, 2)
    return np.where(clean > 50, noisy, 0).astype(np.float32) if masked else noisy


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("level", [10, 30, 90, 150])
def test_white_noise_is_found_white(level: float, masked: bool) -> None:
    np.testing.assert_array_equal(noise_correlation(noisy_head(level, masked=masked)[None], 2), WHITE)


def test_small_bright_things_in_the_air_are_no_shared_noise() -> None:
    """Fat, markers and small vessels: their power would rule the mean."""
    volume, rng = noisy_head(30), np.random.default_rng(1)
    for _ in range(40):
        x, y, z = rng.integers(3), rng.integers(SHAPE[1] - 3), rng.integers(SHAPE[2])
        volume[x : x + 3, y : y + 3, z] = 450
    np.testing.assert_array_equal(noise_correlation(volume[None], 2), WHITE)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("coverage", [0.5, 0.7])
def test_zero_filled_noise_is_a_sinc_within_slices(coverage: float, masked: bool) -> None:
    volume = noisy_head(90, coverage, masked=masked)
    found = noise_correlation(volume[None], 2)
    np.testing.assert_allclose(found[:2], [np.sinc(coverage * LAGS)] * 2, atol=0.13)
    np.testing.assert_array_equal(found[2], WHITE[2])
    np.testing.assert_array_equal(noise_correlation(volume.transpose(2, 0, 1)[None], 0), found[[2, 0, 1]])


def test_the_air_tells_where_anatomy_hides_the_coverage() -> None:
    found = noise_correlation(noisy_head(20, 0.6)[None], 2)  # the phantom's own edges are not limited to it
    np.testing.assert_allclose(found[:, 1], [np.sinc(0.6), np.sinc(0.6), 0], atol=0.03)


def test_soft_filters_and_neighbouring_slices_are_measured_in_the_air() -> None:
    clean = 1000 * head((*SHAPE[:2], 60))[:, :, 20:40]
    noise = gaussian_filter(np.random.default_rng(0).normal(size=(2, *SHAPE)), (0, 0.6, 0.9, 0.7))
    noise *= 60 / noise.std()
    found = noise_correlation(np.hypot(clean + noise[0], noise[1])[None], 2)
    along = [np.moveaxis(noise, axis, 0) for axis in (1, 2, 3)]
    np.testing.assert_allclose(found[:, 1], [np.mean(n[1:] * n[:-1]) / 60**2 for n in along], atol=0.03)


def test_a_ghost_in_the_air_is_not_taken_for_correlation() -> None:
    volume = noisy_head(30.0)
    ghost = 25 * np.sin(np.linspace(0, 3 * np.pi, SHAPE[1])) ** 2  # along the phase encoding
    g = np.random.default_rng(1)
    haunted = np.hypot(volume + ghost[:, None], g.normal(0, 1, SHAPE)).astype(np.float32)
    np.testing.assert_array_equal(noise_correlation(haunted[None], 2), WHITE)


def test_series_is_measured_as_a_whole() -> None:
    strong, still = noisy_head(90, 0.6, masked=True), np.full((*SHAPE,), 3, np.float32)
    series = np.stack([strong, still, noisy_head(30, masked=True), *[strong] * 4])
    found = noise_correlation(series, 2)
    np.testing.assert_allclose(found[:2], [np.sinc(0.6 * LAGS)] * 2, atol=0.13)


@pytest.mark.parametrize("shape", [(1, 64, 64), (7, 5, 3), (64, 64, 1), (2, 2, 2)])
def test_small_and_empty_volumes_count_as_white(shape: tuple[int, int, int]) -> None:
    for volume in (np.zeros(shape), np.full(shape, 7.0), np.random.default_rng(0).random(shape)):
        found = noise_correlation(volume[None].astype(np.float32), int(np.argmin(shape)))
        np.testing.assert_array_equal(found, WHITE)


def test_filters_give_white_noise_the_correlation() -> None:
    assert noise_filters(WHITE)[:, 4].tolist() == [1, 1, 1]
    rows = np.array([np.sinc(0.6 * LAGS), [1, 0.3, 0, 0, 0], WHITE[2]])
    filters = noise_filters(rows)
    np.testing.assert_allclose(np.square(filters).sum(axis=1), 1, rtol=1e-5)
    first_lags = (filters[:, 1:] * filters[:, :-1]).sum(axis=1)
    np.testing.assert_allclose(first_lags, rows[:, 1], atol=0.08)
