"""Scaling and its inverse: exact to float32's rounding, nothing clipped, zero kept where nothing is negative."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd

from mri_denoise.transforms import ScaleIntensityRobust, ScaleIntensityRobustd
from mri_denoise.transforms.intensity import robust_range

# 30 orders of magnitude in one image: its scaled values still fit into float32
FLOATS = st.one_of(st.just(0.0), st.floats(2.0**-50, 2.0**50, width=32), st.floats(-(2.0**50), -(2.0**-50), width=32))


def allowed(values: np.ndarray, lower: float) -> np.ndarray:
    """One unit in the last place, or two of the larger of a voxel and the lower bound."""
    if lower == 0:
        return np.spacing(np.abs(values))
    return 2 * np.spacing(np.maximum(np.abs(values), np.float32(abs(lower))))


def there_and_back(values: np.ndarray, white: float | None = None) -> tuple[np.ndarray, np.ndarray, float]:
    scaler = ScaleIntensityRobust()
    scaled = scaler(MetaTensor(torch.from_numpy(values)), white)
    lower = scaled.applied_operations[-1]["extra_info"]["ranges"][0][0]
    return scaled.numpy().copy(), scaler.inverse(scaled).numpy(), lower


@settings(max_examples=150, deadline=None)
@given(hnp.arrays(np.float32, hnp.array_shapes(min_dims=3, max_dims=3, max_side=6), elements=FLOATS))
def test_the_inverse_is_exact_to_the_last_places(values: np.ndarray) -> None:
    scaled, back, lower = there_and_back(values[None])
    assert np.isfinite(scaled).all()
    assert (np.abs(back.astype(float) - values[None]) <= allowed(values[None], lower)).all()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1e-20, 1e-3, 1.0, 4095.0, 1e20]),
    st.sampled_from([0.0, -0.5, 1e4, -1e4]),
)
def test_the_inverse_is_exact_for_images_of_any_magnitude(seed: int, magnitude: float, offset: float) -> None:
    values = (np.random.default_rng(seed).gamma(2, 1, (1, 9, 8, 7)) + offset).astype(np.float32) * np.float32(magnitude)
    _, back, lower = there_and_back(values)
    assert (np.abs(back.astype(float) - values) <= allowed(values, lower)).all()


def test_nothing_is_clipped_and_the_percentile_becomes_one() -> None:
    values = np.arange(10_001, dtype=np.float32).reshape(1, 73, 137)
    scaled, back, _ = there_and_back(values)
    assert robust_range(values) == pytest.approx((0.0, np.percentile(values, 99.9)))
    assert scaled.max() == pytest.approx(10_000 / 9990)
    assert scaled.ravel()[9990] == pytest.approx(1.0)
    assert back.max() == 10_000


def test_zero_stays_zero_where_nothing_is_negative() -> None:
    values = 50 + 10 * np.random.default_rng(0).random((1, 20, 20, 20), dtype=np.float32)
    values[0, :5] = 0
    scaled, back, lower = there_and_back(values)
    assert lower == 0 and (scaled[values == 0] == 0).all() and (back[values == 0] == 0).all()
    # a few negative voxels, as interpolation leaves them, do not move it
    values[0, 0, 0, :3] = -1
    assert robust_range(values)[0] == 0


def test_signed_images_start_at_their_low_percentile() -> None:
    values = np.random.default_rng(0).normal(-1000, 300, (1, 30, 30, 30)).astype(np.float32)
    scaled, _, lower = there_and_back(values)
    assert lower == np.percentile(values, 0.1, method="higher")
    assert np.percentile(scaled, [0.1, 99.9]) == pytest.approx([0, 1], abs=1e-3)


@pytest.mark.parametrize("count", [20, 999, 5000])
def test_one_extreme_voxel_does_not_set_the_range(count: int) -> None:
    values = np.random.default_rng(0).rayleigh(100, count)
    usual = robust_range(values)[1]
    values[count // 2] = 1e7
    assert robust_range(values)[1] == pytest.approx(usual, rel=0.5)


def test_padding_does_not_set_the_range() -> None:
    values = np.random.default_rng(0).rayleigh(100, (1, 12, 12, 12)).astype(np.float32)
    padded = np.pad(values, [(0, 0), (3, 1), (2, 2), (0, 4)], constant_values=-1024)
    ranges = [ScaleIntensityRobust()(torch.from_numpy(v)).applied_operations[-1] for v in (values, padded)]
    assert ranges[0]["extra_info"] == ranges[1]["extra_info"]


@pytest.mark.parametrize("constant", [0.0, 7.5, -7.5, 1e-30, 3e38, -3e38])
def test_constants_come_back(constant: float) -> None:
    values = np.full((1, 3, 4, 5), constant, np.float32)
    scaled, back, _ = there_and_back(values)
    assert np.isfinite(scaled).all()
    np.testing.assert_array_equal(back, values)


def test_mostly_empty_images_are_scaled_by_their_maximum() -> None:
    values = np.zeros((1, 40, 40, 40), np.float32)
    values[0, 20, 20, 20] = 8
    assert robust_range(values) == (0.0, 8.0)


def test_what_is_not_finite_is_ignored() -> None:
    values = np.random.default_rng(0).random((9, 9, 9), dtype=np.float32)
    holed = np.concatenate([values.ravel(), [np.nan, np.inf, -np.inf]]).astype(np.float32)
    assert robust_range(holed) == robust_range(values)
    assert robust_range(np.full(5, np.nan, np.float32)) == (0.0, 1.0)


def test_each_channel_has_its_own_range() -> None:
    values = np.random.default_rng(0).random((2, 8, 8, 8), dtype=np.float32)
    values[1] *= 1000
    both, back, _ = there_and_back(values)
    for c in range(2):
        np.testing.assert_array_equal(both[c], there_and_back(values[c : c + 1])[0][0])
    np.testing.assert_allclose(back, values, rtol=2e-7)


def test_a_white_level_takes_the_place_of_the_percentile() -> None:
    values = np.arange(256, dtype=np.float32).reshape(1, 16, 16, 1)
    scaled, back, _ = there_and_back(values / 2, white=255.0)
    np.testing.assert_allclose(scaled, values / 510, rtol=1e-6)
    np.testing.assert_array_equal(back, values / 2)
    item = ScaleIntensityRobustd("image")({"image": MetaTensor(torch.from_numpy(values)), "white_level": 510.0})
    np.testing.assert_allclose(item["image"].numpy(), values / 510, rtol=1e-6)


@pytest.mark.parametrize("per_voxel", [False, True])
def test_sigma_is_scaled_along(per_voxel: bool) -> None:
    values = 100 * torch.from_numpy(np.random.default_rng(0).random((2, 6, 6, 6), dtype=np.float32))
    values[1] *= 3
    sigma = torch.tensor([2.0, 3.0])
    if per_voxel:
        sigma = sigma[:, None, None, None] * torch.ones_like(values)
    item = ScaleIntensityRobustd("image")({"image": MetaTensor(values), "sigma": sigma})
    assert torch.equal(item["sigma"], sigma)
    for c in range(2):
        _, width = robust_range(values[c].numpy())
        torch.testing.assert_close(item["scaled_sigma"][c], sigma[c] / width)


def test_monais_invertd_gives_the_units_back() -> None:
    values = torch.from_numpy(np.random.default_rng(0).normal(0, 500, (1, 9, 8, 7)).astype(np.float32))
    affine = torch.diag(torch.tensor([1.0, 2, 3, 1], dtype=torch.float64))
    chain = Compose([ScaleIntensityRobustd("image")])
    item = chain({"image": MetaTensor(values, affine=affine)})
    item["pred"] = item["image"] * 0.5
    back = Invertd("pred", chain, "image", nearest_interp=False)(item)["pred"]
    lower, width = robust_range(values.numpy())
    torch.testing.assert_close(back.as_tensor(), (values - lower) / 2 + lower, rtol=1e-5, atol=1e-3)
    assert torch.equal(back.affine, affine)


def test_plain_tensors_and_integers_are_taken() -> None:
    scaled = ScaleIntensityRobust()(torch.arange(27).reshape(1, 3, 3, 3))
    assert scaled.dtype == torch.float32 and scaled.min() == 0
