"""What is missing in an image is filled from around it, or by 0 as a mask."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mri_denoise.denoiser import Denoiser
from mri_denoise.inference.limits import without_missing
from mri_denoise.noise.simulate import add_rician
from mri_denoise.settings import Settings
from mri_denoise.volume import Volume
from tests.phantoms import head


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("place", [(3, 4, 2), (0, 0, 0)])
def test_a_hole_becomes_the_mean_of_what_is_around(value: float, place: tuple[int, int, int]) -> None:
    volume = torch.rand(6, 7, 4)
    around = volume[tuple(slice(max(n - 1, 0), n + 2) for n in place)].clone()
    known = around.sum() - volume[place]
    volume[place] = value
    filled = without_missing(volume)
    assert filled[place] == pytest.approx(float(known / (around.numel() - 1)), rel=1e-5)
    filled[place] = value
    assert torch.equal(filled.nan_to_num(), volume.nan_to_num())


def test_a_mask_becomes_0() -> None:
    volume = torch.rand(8, 9, 1) + 1
    volume[5:] = torch.nan
    filled = without_missing(volume)
    assert torch.equal(filled[:5], volume[:5]) and not filled[5:].any()
    assert not without_missing(torch.full((3, 3, 3), torch.nan)).any()


@pytest.mark.parametrize(
    ("gap", "filled"),
    [
        ((slice(4, 5), slice(None), slice(None)), False),  # a plane: a third of all around a voxel is missing
        ((slice(4, 6), slice(4, 6), slice(4, 6)), True),
    ],
)
def test_a_plane_is_no_hole(gap: tuple[slice, ...], filled: bool) -> None:
    volume = torch.rand(9, 9, 9) + 1
    volume[gap] = torch.nan
    assert bool((without_missing(volume)[gap] > 1).all()) == filled


def test_a_line_of_a_slice_is_no_hole() -> None:
    volume = torch.rand(9, 9, 1) + 1
    volume[4] = torch.nan
    assert not without_missing(volume)[4].any()


def test_large_volumes_are_filled_alike_in_parts() -> None:
    volume = torch.rand(5, 1100, 500)  # parts of one plane
    volume[torch.rand(volume.shape) < 0.02] = torch.nan
    small = volume[:, 40:80, 40:80]
    assert torch.equal(without_missing(volume)[:, 41:79, 41:79], without_missing(small)[:, 1:-1, 1:-1])


def test_values_at_the_end_of_the_range_stay_finite() -> None:
    volume = torch.full((3, 3, 3), 3e38)
    volume[1, 1, 1] = torch.nan
    assert without_missing(volume).isfinite().all()


def test_missing_voxels_do_not_spoil_the_others() -> None:
    clean = 1000 * head((64, 80, 12))
    noisy = add_rician(clean, 30.0, np.random.default_rng(0)).astype(np.float32)
    holes = np.random.default_rng(1).random(clean.shape) < 0.05
    denoise, errors = Denoiser.load("rician", device="cpu"), []
    for missing in (np.zeros_like(holes), holes):
        array = np.where(missing, np.nan, noisy)
        result = denoise(Volume(array=array[None], affine=np.eye(4))).array[0]
        assert np.array_equal(np.isnan(result), missing)
        found = denoise.finish(denoise.measure(Volume(array=array[None], affine=np.eye(4)), Settings()), with_raw=True)
        assert found.raw is not None and not (found.raw - found.volume.array)[0][missing].any()
        errors.append(np.sqrt(np.mean((result - clean)[~holes & (clean > 50)] ** 2)))
    assert errors[1] < 1.15 * errors[0]
