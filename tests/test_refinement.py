"""The Wiener filter with a pilot: against scipy's transform block by block, and what it must leave alone."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import dctn, idctn
from scipy.ndimage import gaussian_filter

from mri_denoise import refinement
from mri_denoise.refinement import refine
from mri_denoise.rice import rice_moments


def _volume(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Smooth structures on the scale [0.2, 1]."""
    smooth = gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2)
    return (0.2 + 0.8 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.float32)


def _rician(volume: np.ndarray, sigma: float, seed: int = 1) -> np.ndarray:
    real, imaginary = np.random.default_rng(seed).normal(0, sigma, (2, *volume.shape))
    return np.hypot(volume + real, imaginary).astype(np.float32)


def _filter_with_scipy(noisy: np.ndarray, pilot: np.ndarray, sigma: float) -> np.ndarray:
    """The same filter one block at a time, for volumes whose sides are multiples of 8."""
    unbiased = noisy - sigma * (rice_moments(pilot / sigma)[0] - pilot / sigma)
    y, p = np.pad(unbiased, 4, mode="edge"), np.pad(pilot.astype(np.float64), 4, mode="edge")
    total, weights = np.zeros(y.shape), np.zeros(y.shape)
    for offset in ((0, 0, 0), (0, 4, 4), (4, 0, 4), (4, 4, 0)):
        for corner in itertools.product(*(range(o, n - 7, 8) for o, n in zip(offset, y.shape, strict=True))):
            block = tuple(slice(c, c + 8) for c in corner)
            power = dctn(p[block], norm="ortho") ** 2
            gain = power / (power + sigma**2)
            weight = 1 / np.sum(gain**2)
            total[block] += weight * idctn(gain * dctn(y[block], norm="ortho"), norm="ortho")
            weights[block] += weight
    return (total / weights)[4:-4, 4:-4, 4:-4]


def test_equals_the_filter_block_by_block():
    truth = _volume((16, 24, 40))
    noisy, pilot = _rician(truth, 0.06), gaussian_filter(truth, 1)
    wanted = _filter_with_scipy(noisy, pilot, 0.06)
    got = refine(torch.from_numpy(noisy), torch.from_numpy(pilot.copy()), torch.tensor(0.06), weight=1.0)
    np.testing.assert_allclose(got.numpy(), wanted, atol=2e-5)
    half = refine(torch.from_numpy(noisy), torch.from_numpy(pilot.copy()), torch.tensor(0.06), weight=0.5)
    np.testing.assert_allclose(half.numpy(), (wanted + pilot) / 2, atol=2e-5)


@pytest.mark.parametrize(("pilot_of", "share"), [("blurred", 0.95), ("half denoised", 0.95)])
def test_improves_a_result_that_lacks_detail_or_kept_noise(pilot_of, share):
    truth = _volume((40, 40, 40))
    noisy = _rician(truth, 0.05)
    pilot = gaussian_filter(truth, 1.5) if pilot_of == "blurred" else truth + 0.3 * (noisy - truth)
    refined = refine(torch.from_numpy(noisy), torch.from_numpy(pilot.copy()), torch.tensor(0.05)).numpy()
    assert np.mean((refined - truth) ** 2) < share * np.mean((pilot - truth) ** 2)


@pytest.mark.parametrize("slices", [8, 16, 64])
def test_chunks_leave_no_trace(monkeypatch, slices):
    noisy, pilot = torch.rand(53, 20, 17), torch.rand(53, 20, 17)
    whole = refine(noisy, pilot.clone(), torch.tensor(0.2))
    monkeypatch.setattr(refinement, "CHUNK", slices * 20 * 17)
    torch.testing.assert_close(refine(noisy, pilot.clone(), torch.tensor(0.2)), whole, rtol=0, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 20)] * 3),
    blocked=st.tuples(*[st.booleans()] * 3),
    sigma=st.sampled_from([0.0, 1e-4, 0.1]),
)
def test_any_shape_and_a_map_as_its_constant(shape, blocked, sigma):
    noisy, pilot = torch.rand(shape), torch.rand(shape)
    result = refine(noisy, pilot.clone(), torch.tensor(sigma), blocked)
    assert result.shape == shape and bool(torch.isfinite(result).all())
    mapped = refine(noisy, pilot.clone(), torch.full(shape, sigma), blocked)
    torch.testing.assert_close(mapped, result, rtol=0, atol=1e-5)


def test_without_noise_nothing_changes():
    image = torch.rand(20, 20, 20)
    torch.testing.assert_close(refine(image, image.clone(), torch.tensor(0.0)), image, rtol=0, atol=1e-6)


def test_slices_that_do_not_belong_together_stay_apart():
    noisy, pilot = torch.rand(9, 16, 16), torch.rand(9, 16, 16)
    before = refine(noisy, pilot.clone(), torch.tensor(0.1), (False, True, True))
    noisy[4], pilot[4] = torch.rand(16, 16), torch.rand(16, 16)
    after = refine(noisy, pilot.clone(), torch.tensor(0.1), (False, True, True))
    assert [bool((before[i] != after[i]).any()) for i in range(9)] == [i == 4 for i in range(9)]


def test_masked_air_pulls_nothing_down():
    truth = torch.zeros(24, 24, 24)
    truth[8:16] = 0.7
    noisy = torch.where(truth > 0, torch.from_numpy(_rician(truth.numpy(), 0.1)), torch.zeros(()))
    refined = refine(noisy, truth.clone(), torch.tensor(0.1))
    assert abs(float(refined[8:16].mean()) - 0.7) < 0.01
    assert abs(float(refined[:4].mean())) < 0.005


def test_chunks_of_masked_air_are_skipped_and_their_neighbours_not(monkeypatch):
    noisy, pilot = torch.rand(40, 16, 16), torch.rand(40, 16, 16)
    noisy[:24] = 0
    pilot[:20] = 0
    whole = refine(noisy, pilot.clone(), torch.tensor(0.1))
    monkeypatch.setattr(refinement, "CHUNK", 8 * 16 * 16)
    pieces = refine(noisy, pilot.clone(), torch.tensor(0.1))
    torch.testing.assert_close(pieces[16:], whole[16:], rtol=0, atol=1e-6)
    assert not pieces[:16].any()
