"""SENSE, GRAPPA and combinations against the textbook's matrices, and the floors against chi's distribution."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import fft, stats

from mri_denoise.simulation.scanner_coils import Channels, receive_channels
from mri_denoise.simulation.scanner_grappa import grappa_weights
from mri_denoise.simulation.scanner_noise import ManyChannels, floor_moments, one_channel
from mri_denoise.simulation.scanner_parameters import ScannerParameters
from mri_denoise.simulation.scanner_reconstruction import (
    Even,
    Matched,
    Sense,
    fold,
    invert,
    unfold,
    walsh_directions,
)
from tests.phantoms import head

COLUMNS = 48


def sensitivities(channels: int, seed: int = 0) -> np.ndarray:
    """Random complex fields, smooth along both axes, shape (V, 6, COLUMNS)."""
    rng = np.random.default_rng(seed)
    spectrum = np.zeros((channels, 6, COLUMNS), complex)
    spectrum[:, :2, :3] = rng.standard_normal((channels, 2, 3)) + 1j * rng.standard_normal((channels, 2, 3))
    return (10 * fft.ifft2(spectrum)).astype(np.complex64) * 10


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
def test_matrices_are_inverted(factor: int) -> None:
    rng = np.random.default_rng(0)
    a = rng.standard_normal((50, factor, factor)) + 1j * rng.standard_normal((50, factor, factor))
    hermitian = a @ a.conj().swapaxes(1, 2) + 0.5 * np.eye(factor)
    found = invert(np.moveaxis(hermitian, 0, -1))
    np.testing.assert_allclose(np.moveaxis(found, -1, 0), np.linalg.inv(hermitian), atol=1e-8)


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_sense_unfolds_and_amplifies_noise_by_the_g_factor(factor: int) -> None:
    seen = sensitivities(8)
    image = np.random.default_rng(1).random((6, COLUMNS)) + 0.2j
    weights = Sense(acceleration=factor).weights(0, seen)
    np.testing.assert_allclose(unfold(fold(seen * image, factor), weights)[0], image, rtol=0.01)
    found = one_channel(weights[0], np.eye(8, dtype=np.complex64), factor).along
    full = one_channel(Sense(acceleration=1).weights(0, seen)[0], np.eye(8, dtype=np.complex64), 1).along
    for row, column in ((0, 3), (4, 20), (5, 47)):
        partners = (column % (COLUMNS // factor)) + np.arange(factor) * (COLUMNS // factor)
        s = seen[:, row, partners].astype(complex)
        gram = s.conj().T @ s
        own = int(np.flatnonzero(partners == column)[0])
        g = np.sqrt(np.linalg.inv(gram)[own, own].real * gram[own, own].real)  # Pruessmann et al., equation 23
        assert np.sqrt(found[row, column] / full[row, column]) == pytest.approx(g * np.sqrt(factor), rel=0.01)
        assert g >= 1


def test_a_prior_makes_air_dark() -> None:
    seen, prior = sensitivities(8), np.zeros((1, 6, COLUMNS), np.float32)
    prior[..., : COLUMNS // 2] = 100
    weights = Sense(acceleration=2, prior=prior).weights(0, seen)
    plain = Sense(acceleration=2).weights(0, seen)
    root = np.eye(8, dtype=np.complex64)
    change = np.sqrt(one_channel(weights[0], root, 2).along / one_channel(plain[0], root, 2).along)
    left, right = change[:, : COLUMNS // 2], change[:, COLUMNS // 2 :]
    # what aliases onto air gets less noise, for there is nothing to tell apart
    assert left.max() < 0.3 and right.max() < 1.001 and right.mean() < 0.95


def phantom_channels(combination: str = "rss") -> tuple[np.ndarray, Channels]:
    clean = head((40, 48, 40)).transpose(2, 0, 1)
    parameters = ScannerParameters(coils=8, combination=combination, gap=40)  # type: ignore[arg-type]
    return clean, receive_channels(clean, (5, 5, 5), 0, parameters)


@pytest.mark.parametrize("factor", [2, 3])
def test_grappa_keeps_acquired_lines_and_fills_the_others(factor: int) -> None:
    clean, channels = phantom_channels()
    images = channels.sensitivities.slice(22) * clean[22]
    weights = grappa_weights(images, factor, sigma=1e-4)
    found = unfold(fold(images, factor), weights)
    lines = np.arange(0, images.shape[2], factor)
    before, after = fft.fft2(images), fft.fft2(found)
    np.testing.assert_allclose(after[:, :, lines], before[:, :, lines], atol=1e-3 * np.abs(before).max())
    combined = np.sqrt(np.square(np.abs(images)).sum(axis=0))
    error = np.sqrt(np.square(np.abs(found)).sum(axis=0)) - combined
    assert np.sqrt(np.mean(error**2)) < (0.02 if factor == 2 else 0.06) * combined.max()


def test_grappa_is_a_sum_over_neighbours_in_k_space() -> None:
    """The matrix in image space does what the kernel does in k-space, where each channel's point is a sum of others."""
    clean, channels = phantom_channels()
    images = channels.sensitivities.slice(22) * clean[22]
    weights = grappa_weights(images, 2, sigma=1e-4)
    result = fft.fft2(unfold(fold(images, 2), weights))
    kernel = fft.fft2(weights) / weights[0, 0].size
    # only offsets of the kernel are there: 5 columns, and 0, +-1, +-3 lines
    strong = np.abs(kernel).max(axis=(0, 1)) > 1e-5
    assert set(np.flatnonzero(strong.any(axis=1)) % 40) <= {0, 1, 2, 38, 39}
    assert set(np.flatnonzero(strong.any(axis=0))) <= {0, 1, 3, 45, 47}
    acquired = fft.fft2(images)
    acquired[:, :, 1::2] = 0
    point = np.zeros(8, complex)
    for dx in range(-2, 3):
        for dy in (-3, -1, 0, 1, 3):
            point += kernel[:, :, -dx % 40, -dy % 48] @ acquired[:, (4 + dx) % 40, (7 + dy) % 48]
    np.testing.assert_allclose(point, result[:, 4, 7], rtol=1e-3, atol=1e-4 * np.abs(result).max())


def test_the_adaptive_combination_finds_the_signals_direction() -> None:
    clean, channels = phantom_channels("adaptive")
    combination = Matched(directions=walsh_directions(channels, clean, 0.01))
    seen = channels.sensitivities.slice(22)
    rows = combination.rows(22, seen)
    np.testing.assert_allclose(np.square(np.abs(rows)).sum(axis=0), 1, rtol=1e-4)
    gain = np.abs((rows * seen).sum(axis=0)) / np.sqrt(np.square(np.abs(seen)).sum(axis=0))
    assert gain[clean[22] > 0.3].min() > 0.97 and gain.max() < 1.001
    even = np.abs((Even().rows(22, seen) * seen).sum(axis=0))
    np.testing.assert_allclose(even, 1, atol=0.01)


@pytest.mark.parametrize("count", [1, 4, 32])
def test_floors_are_those_of_chi(count: int) -> None:
    mean, std = floor_moments(np.full(2, 9.0 * count), np.full(2, float(count)))
    chi = stats.chi(2 * count, scale=3)
    np.testing.assert_allclose([mean[0], std[0]], [chi.mean(), chi.std()], rtol=2e-3)


def test_floors_of_correlated_channels_are_those_of_drawn_noise() -> None:
    rng = np.random.default_rng(0)
    root = np.linalg.cholesky(0.4 ** np.abs(np.subtract.outer(np.arange(6), np.arange(6)))).astype(np.complex64)
    direction = (rng.standard_normal(6) + 1j * rng.standard_normal(6))[:, None, None].astype(np.complex64)
    found = ManyChannels(root, 1).variances(None, direction)
    mean, std = (float(a[0, 0]) for a in floor_moments(found.total, found.count))
    noise = root @ (rng.standard_normal((6, 40000)) + 1j * rng.standard_normal((6, 40000)))
    length = np.sqrt(np.square(np.abs(noise)).sum(axis=0))
    assert mean == pytest.approx(length.mean(), rel=0.01) and std == pytest.approx(length.std(), rel=0.03)
    signal = 100 * direction[:, 0] / np.linalg.norm(direction)
    strong = np.sqrt(np.square(np.abs(signal + noise)).sum(axis=0))
    assert np.sqrt(float(found.along[0, 0])) == pytest.approx(strong.std(), rel=0.02)
