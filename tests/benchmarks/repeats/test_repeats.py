"""Repeated scans: what the measures say where the noise and the object are known."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage, stats

from mri_denoise.benchmarks.repeats.scores import (
    compare_levels,
    lag_one,
    load_repeats,
    noise_of_repeats,
    noise_over_time,
    object_mask,
    score_repeats,
)
from mri_denoise.errors import InputError
from mri_denoise.evaluation.metrics import psnr
from mri_denoise.io import discover
from mri_denoise.noise.simulate import add_rician

SHAPE = (40, 44, 24)
SIGMA = 20.0


def truth() -> np.ndarray:
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    radius = np.sqrt(x**2 + y**2 + z**2 / 2)
    return np.where(radius < 0.8, 400 + 100 * np.cos(4 * x), 0).astype(np.float32)


def series(count: int = 6) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.stack([add_rician(truth(), SIGMA, rng) for _ in range(count)])


def test_the_object_is_found() -> None:
    mask, inside = object_mask(series()), truth() > 0
    assert (mask == inside).mean() > 0.999


def test_correlation_of_white_and_of_smooth_noise() -> None:
    white = np.random.default_rng(0).standard_normal((60, 60, 40))
    mask = np.ones(white.shape, bool)
    assert np.abs(lag_one(white, mask)).max() < 0.02
    smooth = ndimage.gaussian_filter1d(white, 1.0, axis=1)
    x, y, z = lag_one(smooth, mask)
    assert abs(x) < 0.03 and abs(z) < 0.03
    assert y == pytest.approx(np.exp(-1 / 4), abs=0.02)  # of a Gaussian: exp(-d^2 / 4 sigma^2)
    mask[30:] = False
    white[31:] = 100.0
    assert np.abs(lag_one(white, mask)).max() < 0.02
    one = np.zeros((5, 5, 1))
    one[2] = 1
    assert np.isnan(lag_one(one, np.ones(one.shape, bool))[2])


def test_noise_from_differences() -> None:
    noise = noise_of_repeats(series(), object_mask(series()))
    assert noise is not None and noise.sigma == pytest.approx(SIGMA, rel=0.02)
    assert np.abs(noise.correlation).max() < 0.02
    assert noise_of_repeats(series(1), object_mask(series(1))) is None


def test_noise_over_time_is_that_of_each_place_without_drift() -> None:
    uneven = SIGMA * (1 + np.linspace(0, 1, SHAPE[0]))[:, None, None] * np.ones(SHAPE)
    rng = np.random.default_rng(2)
    noisy = np.stack([(1 + 0.1 * t) * truth() + rng.normal(0, uneven) for t in range(6)])
    found = noise_over_time(noisy, truth() > 0)
    assert np.isfinite(found).any() and np.isnan(found[truth() == 0]).all()
    median, low, high = compare_levels(uneven, found)
    assert median == pytest.approx(1, abs=0.02) and 0.85 < low < high < 1.15
    assert compare_levels(np.array(SIGMA), found)[0] == pytest.approx(1 / 1.5, abs=0.03)
    assert np.isnan(compare_levels(uneven, np.full(SHAPE, np.nan))).all()


def test_a_perfect_denoiser_scores_as_it_must() -> None:
    noisy = series()
    mask = object_mask(noisy)
    scores = score_repeats(noisy, np.stack([truth()] * 6), [SIGMA] * 6, mask)
    assert len(scores) == 6
    for t, score in enumerate(scores):
        others = np.delete(noisy, t, 0)
        peak = float(noisy.mean(axis=0).max())
        assert score.psnr_noisy == pytest.approx(psnr(others.mean(axis=0), noisy[t], mask, peak))
        # the mean of five has a fifth of the variance: the ceiling
        assert score.psnr_denoised == pytest.approx(20 * np.log10(peak / (SIGMA / np.sqrt(5))), abs=0.2)
        assert score.psnr_signal_denoised == pytest.approx(score.psnr_denoised, abs=0.2)
        assert score.residual_ratio == pytest.approx(1, abs=0.03)
        assert np.abs(score.residual_correlation).max() < 0.03


def test_signal_has_no_rician_bias() -> None:
    count, faint = 40, np.full((32, 32, 16), 25.0, np.float32)
    rng = np.random.default_rng(1)
    noisy = np.stack([add_rician(faint, SIGMA, rng) for _ in range(count)])
    score = score_repeats(noisy, np.stack([faint] * count), [SIGMA] * count, np.ones(faint.shape, bool))[0]
    rice = stats.rice(25 / SIGMA, scale=SIGMA)
    mean, spread = float(rice.mean()), float(rice.std())
    error = np.sqrt((mean - 25) ** 2 + spread**2 / (count - 1))
    assert score.psnr_denoised == pytest.approx(20 * np.log10(noisy.mean(axis=0).max() / error), abs=0.2)
    assert score.psnr_signal_denoised is not None and score.psnr_denoised is not None
    assert score.psnr_signal_denoised > score.psnr_denoised + 3


def test_anatomy_in_the_residual_is_seen() -> None:
    noisy = series(3)
    blurred = np.stack([ndimage.gaussian_filter(v, 3.0) for v in noisy])
    for score in score_repeats(noisy, blurred, [SIGMA] * 3, object_mask(noisy)):
        assert score.residual_ratio > 1.5 and min(score.residual_correlation) > 0.3


def test_a_single_volume_has_no_psnr() -> None:
    score = score_repeats(series(1), np.stack([truth()]), [SIGMA], object_mask(series(1)))[0]
    assert score.psnr_noisy is score.psnr_signal_denoised is None and score.residual_ratio > 0.9


def test_files_of_one_grid_make_a_series(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.moveaxis(series(2), 0, -1), np.eye(4)), tmp_path / "a.nii")
    nib.save(nib.Nifti1Image(series(1)[0], np.eye(4)), tmp_path / "b.nii")
    nib.save(nib.Nifti1Image(np.ones((9, 9, 9), np.float32), np.eye(4)), tmp_path / "c.nii")
    cases = {case.label: case for case in discover(tmp_path)[0]}
    a, b, c = (cases[next(label for label in cases if name in label)] for name in ("a.nii", "b.nii", "c.nii"))
    np.testing.assert_array_equal(load_repeats([a, b]).array, np.concatenate([series(2), series(1)]))
    np.testing.assert_array_equal(load_repeats([a, b], (1, 2)).array, load_repeats([a, b]).array[1:])
    with pytest.raises(InputError, match="no volume 3, only 0 to 2"):
        load_repeats([a, b], (1, 3))
    with pytest.raises(InputError, match="one grid"):
        load_repeats([a, c])


def test_repeats_lie_in_one_place(tmp_path: Path) -> None:
    for name, affine in (
        ("a", np.diag([1.0, 1, 3, 1])),
        ("b", np.diag([-2.0, 2, 4, 1])),
        ("c", np.diag([1, 1, 3.001, 1])),
    ):
        nib.save(nib.Nifti1Image(series(1)[0], affine), tmp_path / f"{name}.nii")
    a, b, c = (discover(tmp_path / f"{name}.nii")[0][0] for name in "abc")
    assert len(load_repeats([a, c]).array) == 2
    with pytest.raises(InputError, match="b.nii: lies in another space than a.nii; resample"):
        load_repeats([a, b])
