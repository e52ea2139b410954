"""Is it noise? Numbers against simulated truth and second sources; words for good and for bad denoisers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats

from mri_denoise.report.checks import check_residual, verdict
from mri_denoise.report.outliers import robust_z
from mri_denoise.report.residual import Residual, find_tissue, measure_residual
from tests.phantoms import head

SHAPE = (48, 56, 24)
WHITE = np.eye(1, 5).repeat(3, axis=0)


def noisy_head(sigma: float) -> tuple[np.ndarray, np.ndarray]:
    clean = (1000 * head(SHAPE)).astype(np.float32)
    real, imaginary = np.random.default_rng(0).normal(0, sigma, (2, *SHAPE))
    return clean, np.hypot(clean + real, imaginary).astype(np.float32)


def measure(before: np.ndarray, after: np.ndarray, sigma: float, strength: float = 1.0) -> Residual:
    tissue = find_tissue(after, sigma)
    return measure_residual(before, after, tissue, sigma=sigma, strength=strength, correlation=WHITE)


def test_noise_itself_passes_every_check() -> None:
    clean, noisy = noisy_head(40)
    found = measure(noisy, clean, 40)
    assert found.ratio == pytest.approx(1, abs=0.03)
    assert found.standing_out == 0 and found.spot is not None and 3 < found.spot.height < 5.5
    np.testing.assert_allclose([found.image, found.edges, *found.neighbours, found.kurtosis], 0, atol=0.1)
    assert verdict(check_residual(found), found)[0] == "good"
    assert found.snr_after is None  # nothing is left that could be measured


@pytest.mark.parametrize("width", [0.5, 0.7, 1.0])
@pytest.mark.parametrize("sigma", [20, 60])
def test_a_filter_that_blurs_is_found_out(width: float, sigma: float) -> None:
    _, noisy = noisy_head(sigma)
    found = measure(noisy, ndimage.gaussian_filter(noisy, width), sigma)
    assert verdict(check_residual(found), found)[0] == "warning"


def test_a_lesion_that_was_removed_stands_out_at_its_place() -> None:
    clean, noisy = noisy_head(40)
    lesion = np.zeros(SHAPE, dtype=np.float32)
    lesion[24:27, 30:33, 12:14] = 150
    found = measure(noisy + lesion, clean, 40)
    assert found.spot is not None and found.spot.height > 6
    assert np.abs(np.subtract(found.spot.voxel, (25, 31, 12.5))).max() <= 2
    place = next(check for check in check_residual(found) if check.title == "What stands out")
    assert place.status != "good" and place.voxel == found.spot.voxel


@given(kept=st.floats(0.1, 0.9), strength=st.floats(0.2, 1))
@settings(max_examples=12, deadline=None)
def test_the_ratio_after_denoising_is_a_lower_bound(kept: float, strength: float) -> None:
    """A denoiser that removes a part of independent noise leaves the other part: the bound is exact."""
    rng = np.random.default_rng(0)
    removable, rest = (part * rng.normal(0, 10, (24, 24, 24)).astype(np.float32) for part in (1 - kept**2, kept))
    removable *= np.float32(np.sqrt(1 - kept**2) / (1 - kept**2))
    before = 1000 + removable + rest
    after = before - np.float32(strength) * removable
    found = measure_residual(before, after, after > 0, sigma=10.0, strength=strength, correlation=WHITE)
    truth = 1000 / float((after - 1000).std())
    if found.snr_after is not None:
        assert found.snr_after == pytest.approx(truth, rel=0.05)
    assert found.snr_before == pytest.approx(100, rel=0.02)


def test_without_a_level_and_without_a_change() -> None:
    clean, noisy = noisy_head(40)
    found = measure_residual(noisy, clean, clean > 100, sigma=None, strength=1.0, correlation=WHITE)
    assert found.ratio is found.snr_before is found.snr_after is None
    assert [check.title for check in check_residual(found)] == ["Amount removed", "Correlation of neighbours"]
    same = measure(noisy, noisy.copy(), 0.0)
    assert same.std == 0 and same.spot is None
    for found in (same, measure(noisy, noisy.copy(), 40.0)):  # nothing is judged where nothing was removed
        assert [check.status for check in check_residual(found)] == ["note"]
        assert verdict(check_residual(found), found) == ("note", "Nothing was removed from the tissue.")


@given(st.lists(st.floats(-1e6, 1e6), min_size=8, max_size=30))
@example([0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 3.0, 1e-308])
@settings(max_examples=40, deadline=None)
def test_robust_scores_agree_with_scipy(values: list[float]) -> None:
    deviation = stats.median_abs_deviation(values, scale="normal")
    scores = robust_z(values, ["T1w"] * len(values))
    if deviation > 1e-3:
        np.testing.assert_allclose(scores, (np.array(values) - np.median(values)) / deviation, rtol=1e-3, atol=1e-6)
    assert all(score is not None and np.isfinite(score) for score in scores)


def test_kinds_are_compared_among_themselves() -> None:
    values, kinds = [*map(float, range(9)), 100.0, 2.0, None], ["T1w"] * 9 + ["T2w"] * 2 + ["T1w"]
    scores = robust_z(values, kinds)
    assert scores[9:] == [None, None, None] and scores[4] == 0
