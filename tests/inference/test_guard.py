"""What noise does not explain comes back, and noise does not."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import ndimage, stats
from scipy.linalg import toeplitz

from mri_denoise.inference import guard
from mri_denoise.inference.guard import return_signal
from mri_denoise.noise.simulate import add_rician
from tests.threads import pytorch_threads

SHAPE = (40, 44, 37)


def rician(signal: np.ndarray, seed: int = 0, coverage: float = 1.0) -> torch.Tensor:
    """With noise of sigma 1; k-space is covered in part along the last two axes."""
    return torch.from_numpy(add_rician(signal, 1.0, np.random.default_rng(seed), coverage=coverage))


@pytest.mark.parametrize("coverage", [1.0, 0.6])
@pytest.mark.parametrize("snr", [0, 1, 5, 30])
def test_noise_does_not_come_back(snr: float, coverage: float) -> None:
    signal = np.full(SHAPE, snr, np.float32)
    row = np.sinc(coverage * np.arange(5))
    rows = np.stack((np.eye(1, 5)[0], row, row))
    result = torch.from_numpy(signal.copy())
    assert return_signal(rician(signal, coverage=coverage), result, torch.tensor(1.0), rows) < 0.002 * signal.size
    assert float((result - snr).abs().mean()) < 3e-4


@pytest.mark.parametrize(("radius", "contrast"), [(0.5, 8), (1.5, 3), (3.5, 1.5)])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_lesion_that_was_removed_comes_back(radius: float, contrast: float, sign: int) -> None:
    x, y, z = np.ogrid[tuple(slice(-n // 2, n // 2) for n in SHAPE)]
    lesion = x**2 + y**2 + z**2 <= radius**2
    kept = []
    for seed in range(5):
        result = torch.full(SHAPE, 20.0)
        return_signal(rician(20 + sign * contrast * lesion, seed), result, torch.tensor(1.0))
        kept.append(float(result[torch.from_numpy(lesion)].mean() - 20) / (sign * contrast))
    assert np.mean(kept) > 0.6


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_thin_vessel_that_was_removed_comes_back(axis: int, sign: int) -> None:
    """One voxel wide and of 4 sigma: too weak for a single voxel, and too thin for a box."""
    vessel = np.zeros(SHAPE, dtype=bool)
    vessel[tuple(slice(8, -8) if a == axis else 18 for a in range(3))] = True
    kept, around = [], []
    for seed in range(3):
        result = torch.full(SHAPE, 20.0)
        return_signal(rician(20 + sign * 4 * vessel, seed), result, torch.tensor(1.0))
        kept.append(float(result[torch.from_numpy(vessel)].mean() - 20) / (sign * 4))
        around.append(float((result[torch.from_numpy(~vessel)] - 20).abs().mean()))
    assert np.mean(kept) > 0.7 and max(around) < 3e-3


def test_limits_are_the_quantiles_of_rice_s_distribution() -> None:
    low, high = guard._limits(4.5)
    signal = np.array([0, 1, 3.0])
    mean, std = stats.rice.mean(signal), stats.rice.std(signal)
    index = (signal * guard._STEPS).astype(int)
    assert high[index] * std + mean == pytest.approx(stats.rice.isf(stats.norm.sf(4.5), signal), rel=1e-4)
    assert low[index] * std + mean == pytest.approx(stats.rice.ppf(stats.norm.sf(4.5), signal), rel=1e-2, abs=1e-3)
    assert guard._moments()[2][index] == pytest.approx(stats.rice.stats(signal, moments="s"), rel=1e-3)


@pytest.mark.parametrize("width", [1, 3, 6])
@pytest.mark.parametrize("length", [1, 2, 5, 16, 37, 40])
def test_variances_of_means_are_those_of_correlated_noise(length: int, width: int) -> None:
    row = np.array([1, 0.5, 0.1])
    covariance = toeplitz(np.pad(row, (0, length))[:length])
    draws = np.linalg.cholesky(covariance) @ np.random.default_rng(0).standard_normal((length, 4000))
    step, half = (2, 1) if width == 6 else (1, width // 2)
    cells = np.array([draws[i : i + step].mean(axis=0) for i in range(0, length, step)])
    means = np.array([cells[max(i - half, 0) : i + half + 1].mean(axis=0) for i in range(len(cells))])
    line = guard._box_mean(torch.from_numpy(draws[:, :, None]), (width, 1, 1))
    np.testing.assert_allclose(line[:, :, 0].numpy(), means, atol=1e-6)
    assert guard._variances(row, length, width) == pytest.approx(means.var(axis=1), rel=0.12)


def test_chunks_leave_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    noisy = rician(np.full(SHAPE, 8, np.float32))
    noisy[::7, ::5, ::6] += 9
    whole, parts = torch.full(SHAPE, 8.0), torch.full(SHAPE, 8.0)
    count = return_signal(noisy, whole, torch.tensor(1.0))
    monkeypatch.setattr(guard, "_CHUNK", 1)
    assert return_signal(noisy, parts, torch.tensor(1.0)) == count > 300
    torch.testing.assert_close(whole, parts, rtol=0, atol=1e-5)


def test_the_same_bits_for_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_CHUNK", 1)
    noisy, results = rician(np.full(SHAPE, 8, np.float32)), []
    noisy[::7, ::5, ::6] += 9
    for count in (1, 2, 5):
        results.append(torch.full(SHAPE, 8.0))
        with pytorch_threads(count):
            assert return_signal(noisy, results[-1], torch.tensor(1.0)) > 300
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


@pytest.mark.skipif(sys.platform != "linux", reason="the unit of ru_maxrss differs elsewhere")
def test_memory_does_not_grow_with_the_number_of_cores() -> None:
    """In a process of its own, whose peak is the guard's: 25 MB of voxels on eight threads took 830 MB."""
    script = """
import resource, torch
from mri_denoise.inference.guard import return_signal
noisy = 200 + torch.randn(128, 320, 160)
result = torch.full_like(noisy, 200)
torch.set_num_threads(8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
return_signal(noisy, result, torch.tensor(1.0))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert float(run.stdout) < 450


def test_noise_that_is_stronger_than_said_does_not_come_back() -> None:
    result = torch.full(SHAPE, 20.0)
    assert return_signal(rician(np.full(SHAPE, 20, np.float32)), result, torch.tensor(0.5)) < 0.002 * result.numel()


@pytest.mark.parametrize("shift", [-2.5, 2.5])
def test_a_level_that_was_shifted_everywhere_comes_back(shift: float) -> None:
    """It is not taken for noise that is stronger than was said."""
    signal = np.full(SHAPE, 20, np.float32)
    result = torch.full(SHAPE, 20.0 + shift)
    return_signal(rician(signal), result, torch.tensor(1.0))
    assert float(result.mean()) == pytest.approx(20, abs=0.3)


def test_masked_voxels_and_those_without_noise_stay() -> None:
    noisy, result, sigma = torch.zeros(SHAPE), torch.rand(SHAPE), torch.ones(SHAPE)
    noisy[20:], sigma[20:] = 100, 0
    before = result.clone()
    assert return_signal(noisy, result, sigma) == 0 and torch.equal(before, result)


def test_no_signal_becomes_negative() -> None:
    noisy, result = rician(np.full(SHAPE, 6, np.float32)), torch.full(SHAPE, 6.0)
    noisy[10, 10, 10] = 0.01
    assert return_signal(noisy, result, torch.tensor(1.0)) > 0
    assert 0 <= float(result.min()) < 1


@pytest.mark.parametrize(("snr", "coverage"), [(1, 1.0), (30, 1.0), (30, 0.6)])
def test_false_alarms_of_a_whole_volume(snr: float, coverage: float) -> None:
    """``python -m pytest -s tests/inference/test_guard.py -k whole_volume`` prints the figures of docs/safety.md."""
    signal = np.full((128, 128, 128), snr, np.float32)
    row = np.sinc(coverage * np.arange(5))
    result = torch.from_numpy(signal.copy())
    rows = np.stack((np.eye(1, 5)[0], row, row))
    count = return_signal(rician(signal, coverage=coverage), result, torch.tensor(1.0), rows)
    places = ndimage.label((result != snr).numpy(), np.ones((3, 3, 3)))[1]
    print(f"\nsignal {snr} sigma, {coverage:g} of k-space: {count} voxels in {places} places")
    assert count < 2e-4 * signal.size and places <= 8
