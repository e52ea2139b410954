"""What filters of k-space do to noise, against noise that is filtered, and windows against SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal.windows as windows

from mri_denoise.simulation.scanner_kspace import Transfer, acquired_shape, window
from mri_denoise.simulation.scanner_parameters import ScannerParameters

SHAPE = (12, 40, 48)
CASES = {
    "none": ScannerParameters(),
    "zero-filling": ScannerParameters(zero_filling=1.5),
    "partial": ScannerParameters(partial_fourier=0.75),
    "ellipse": ScannerParameters(elliptical=True, window="fermi", window_width=0.4),
    "all": ScannerParameters(
        zero_filling=1.3, slice_zero_filling=1.6, partial_fourier=0.8, elliptical=True, window="tukey"
    ),
}


def filtered_noise(transfer: Transfer, scale: np.ndarray, repeats: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    noise = scale * (rng.standard_normal((repeats, *SHAPE)) + 1j * rng.standard_normal((repeats, *SHAPE)))
    return transfer.filter_across(transfer.filter_plane(noise))


@pytest.mark.parametrize("name", CASES)
def test_variance_and_correlation_are_those_of_filtered_noise(name: str) -> None:
    transfer = Transfer.of(SHAPE, CASES[name])
    scale = 1 + np.linspace(0, 2, SHAPE[1])[:, None] * np.linspace(0.5, 1, SHAPE[2])
    noise = filtered_noise(transfer, scale, 100)
    expected = transfer.spread_across(transfer.spread_plane(np.broadcast_to(scale**2, SHAPE).astype(np.float32)))
    np.testing.assert_allclose(noise.real.var(axis=(0, 1)).mean() / expected.mean(), 1, rtol=0.02)
    ratio = noise.real.var(axis=(0, 1)) / expected.mean(axis=0)
    assert np.abs(ratio - 1).mean() < 0.06  # a variance of 1200 values, some of them correlated
    even = filtered_noise(transfer, np.ones(1), 60).real
    for axis, row in enumerate(transfer.correlation(3)):
        for lag, value in enumerate(row):
            shifted = np.roll(even, -lag, axis=1 + axis)
            assert (even * shifted).mean() / even.var() == pytest.approx(value, abs=0.02)


@pytest.mark.parametrize("width", [0.2, 0.7])
def test_windows_are_scipys(width: float) -> None:
    place = np.abs(np.linspace(-1, 1, 201))
    np.testing.assert_allclose(window(place, "tukey", width), windows.tukey(201, width), atol=1e-9)
    np.testing.assert_allclose(window(place, "hann", width), windows.hann(201), atol=1e-9)
    fermi = window(place, "fermi", width)
    assert fermi[100] == pytest.approx(1, abs=0.01) and np.interp(1 - width / 2, place[100:], fermi[100:]) == (
        pytest.approx(0.5, abs=0.01)
    )


def test_missing_lines_lie_on_one_side_and_the_rest_is_symmetric() -> None:
    plane = Transfer.of(SHAPE, ScannerParameters(partial_fourier=0.75)).plane
    assert plane is not None and plane.mean() == pytest.approx(0.75, abs=0.03)
    assert (plane == plane[::-1].take(np.arange(-1, SHAPE[1] - 1), axis=0)).all() and plane[0, 0] == 1
    assert Transfer.of(SHAPE, ScannerParameters()).plane is None
    ellipse = Transfer.of(SHAPE, ScannerParameters(elliptical=True)).plane
    assert ellipse is not None and ellipse.mean() == pytest.approx(np.pi / 4, abs=0.03)


@pytest.mark.parametrize("acceleration", [1, 2, 3])
def test_acquired_matrices_hold_the_volume_and_can_be_folded(acceleration: int) -> None:
    for shape in ((1, 1, 1), (3, 181, 217), (30, 97, 61)):
        found = acquired_shape(shape, acceleration)
        assert found[0] == shape[0] and found[1] >= shape[1] and found[2] >= shape[2]
        assert found[2] % acceleration == 0
