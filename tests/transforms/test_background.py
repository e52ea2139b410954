"""The last steps of a chain: empty air stays empty, and the result is blended with the input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from mri_denoise.transforms import BlendStrengthd, RestoreBackgroundd, ScaleIntensityRobust
from mri_denoise.transforms.background import still_voxels

SHAPE = (9, 8, 7)
AFFINE = np.diag([1.0, 1.0, 4.0, 1.0])
MODEL = {"name": "test", "version": "1", "weights_sha256": "0" * 64}


def test_strength_goes_from_input_to_result() -> None:
    raw, result = torch.rand(1, *SHAPE), torch.rand(1, *SHAPE)
    for strength in (0.0, 0.25, 1.0):
        out = BlendStrengthd("pred", strength)({"pred": result, "raw": raw})["pred"]
        torch.testing.assert_close(out, (1 - strength) * raw + strength * result)
    odd = raw.clone()
    odd[0, 0, 0, 0] = -0.0
    untouched = BlendStrengthd("pred", 0)({"pred": result, "raw": odd})["pred"]
    assert untouched.numpy().tobytes() == odd.numpy().tobytes()
    for strength in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="strength"):
            BlendStrengthd("pred", strength)


@pytest.mark.parametrize("shape", [(9, 8, 7), (9, 8, 1), (1, 1, 1), (2, 2, 2)])
@pytest.mark.parametrize("first", [0, -1])
def test_empty_voxels_are_those_with_empty_neighbours(shape: tuple[int, ...], first: float) -> None:
    volume = np.random.default_rng(0).random(shape, dtype=np.float32)
    volume[: shape[0] - shape[0] // 3] = 0
    volume[0, 0, 0] = first
    zeros = torch.from_numpy(volume == 0)
    wanted = ndimage.maximum_filter(np.abs(volume), 3, mode="constant") == 0
    np.testing.assert_array_equal((still_voxels(zeros) & zeros).numpy(), wanted)


def restored(raw: torch.Tensor, pred: torch.Tensor, **item: torch.Tensor) -> torch.Tensor:
    return RestoreBackgroundd("pred")({"pred": pred.clone(), "raw": raw, **item})["pred"]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1.0, 0.01]), st.sampled_from(["float", "integer"]))
def test_where_a_masked_image_is_0_the_result_is_0(seed: int, scale: float, kind: str) -> None:
    rng = np.random.default_rng(seed)
    inside = ndimage.gaussian_filter(rng.standard_normal((12, 12, 12)), 1.5) > 0  # clefts, holes and islands
    values = rng.rayleigh(200, inside.shape) + 2
    raw = torch.from_numpy(np.where(inside, np.rint(values) if kind == "integer" else values, 0) * scale)[None].float()
    out = restored(raw, raw + 100 * torch.randn(raw.shape) * scale, sigma=torch.tensor([200.0 * scale]))
    assert torch.equal(out == 0, raw == 0) and (out >= 0).all()


def test_zeros_of_rounded_noise_are_no_mask() -> None:
    noise = np.rint(np.random.default_rng(0).rayleigh(2, (24, 24, 24)))
    raw = torch.from_numpy(noise).float()[None]
    assert int((raw == 0).sum()) > 100 and (restored(raw, torch.ones_like(raw)) == 1).all()
    raw[0, :3, :12] = 0  # a defaced part of it: the block alone
    out = restored(raw, torch.ones_like(raw))[0]
    assert (out[:3, :12] == 0).all() and (out[4:] == 1).all() and (out[:, 13:] == 1).all()


def test_no_voxel_moves_farther_than_noise_explains() -> None:
    raw, pred = 50.0 + torch.arange(7).repeat(2, *SHAPE[:2], 1) / 4, torch.full((2, *SHAPE), 20.0)
    raw[:, 0, 0, 0] = pred[:, 0, 0, 0] = 100  # no voxel exceeds the highest
    out = restored(raw, pred, sigma=torch.tensor([4.0, 10.0]))
    inside = raw[0] < 100
    assert (out[0] == raw[0] - 20)[inside].all() and (out[1] == 20)[inside].all()
    level = torch.full((2, *SHAPE), 1.0)
    assert (restored(raw, pred, sigma=level) == (raw - 5))[:, inside].all()
    assert (restored(raw, 80 - pred, sigma=level) == (raw + 5))[:, inside].all()
    assert (restored(raw, pred, sigma=torch.zeros(2)) == raw).all()
    coils = torch.tensor([16.0, 1.0])
    assert (restored(raw, pred, sigma=torch.tensor([4.0, 4.0]), coils=coils)[0] == 20)[inside].all()


def test_no_voxel_exceeds_the_highest_of_the_input() -> None:
    raw = 100 * torch.rand(1, *SHAPE)
    assert restored(raw, raw + 500, sigma=torch.tensor([1000.0])).max() == raw.max()


def test_what_did_not_move_has_the_bits_of_the_input() -> None:
    raw = torch.rand(1, *SHAPE) * 1000 - 300
    scaler = ScaleIntensityRobust()
    there_and_back = scaler.inverse(scaler(raw)).as_tensor()
    assert torch.equal(restored(raw, there_and_back), raw)


def test_without_noise_the_result_has_the_bits_of_the_input() -> None:
    raw = torch.randint(1, 5, (2, 6, 6, 6), generator=torch.manual_seed(0)).float()
    raw[:, 2, 2, 2] = 0  # no mask, and no reach holds it
    out = restored(raw, raw + 1e-3, sigma=torch.tensor([0.0, 1.0]))
    assert torch.equal(out[0], raw[0]) and not torch.equal(out[1], raw[1])


@given(st.integers(0, 2**31), st.tuples(*[st.integers(1, 9)] * 3))
@settings(max_examples=60, deadline=None)
def test_still_voxels_are_those_whose_neighbours_are_all_alike(seed: int, shape: tuple[int, int, int]) -> None:
    volume = np.random.default_rng(seed).integers(0, 2, shape)
    volume[: shape[0] // 2 + 2, : shape[1] // 2 + 2] = 1
    wanted = ndimage.maximum_filter(volume, 3, mode="nearest") == ndimage.minimum_filter(volume, 3, mode="nearest")
    np.testing.assert_array_equal(still_voxels(torch.from_numpy(volume)).numpy(), wanted)


@pytest.mark.parametrize("value", [0.0, 17.5, 55.0, 4000.0])
def test_a_region_of_one_value_keeps_its_bits(value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a defaced face that was filled with the mean of the air; the voxels around it belong to it."""
    monkeypatch.setattr("mri_denoise.inference.parts._SLAB", 160)
    raw = 50 + 10 * torch.randn(1, 12, 10, 8)
    raw[0, 3:9, 2:8, 1:7] = value
    out = restored(raw, raw + 1, sigma=torch.tensor([10.0]))
    inside = torch.zeros_like(raw, dtype=torch.bool)
    inside[0, 4:8, 3:7, 2:6] = True
    assert torch.equal(out[inside], raw[inside])
    assert (out != raw)[~inside].float().mean() > 0.5


def test_results_are_negative_only_where_the_input_has_negative_values() -> None:
    raw = torch.rand(1, *SHAPE) + 1
    assert (restored(raw, raw - 3) == 0).all()
    padded = raw.clone()
    padded[..., -1] = -1024  # a value for what is outside of the scan
    out = restored(padded, torch.where(padded < 0, padded, padded - 3))
    assert (out[..., :-1] == 0).all() and (out[..., -1] == -1024).all()
    assert (restored(raw - 1.5, raw - 4.5) == raw - 4.5).all()


def test_a_voxel_of_0_does_not_exceed_the_highest_of_the_input() -> None:
    raw = torch.rand(1, *SHAPE)
    raw[0, 4, 4, 4] = 0
    out = restored(raw, torch.full_like(raw, 1e6), sigma=torch.tensor([1e9]))
    assert out[0, 4, 4, 4] == raw.max()


def test_voxels_above_the_ceiling_keep_their_bits() -> None:
    raw = 100 * torch.rand(1, *SHAPE)
    raw[0, :2] = 65535.0
    out = restored(raw, raw.clamp(max=50), sigma=torch.tensor([10.0]), ceiling=torch.tensor([100.0]))
    assert torch.equal(out[0, :2], raw[0, :2]) and out[0, 2:].max() <= 50 + 1e-5
