"""Images whose floor is not Rice's, made such that a denoiser of Rician noise takes away what is there."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mri_denoise.inference.floor import match_floor
from mri_denoise.noise.rician import chi_moments, rice_moments

SIGMA = torch.tensor(10.0)


def even_image(mean: float) -> torch.Tensor:
    """A volume whose local mean is the same everywhere."""
    return torch.full((8, 8, 8), mean)


def rice_mean(signal: float, sigma: float) -> float:
    return sigma * float(rice_moments(np.array(signal / sigma))[0])


def test_rician_floor_changes_no_bit() -> None:
    volume = torch.rand(6, 6, 6)
    same, level = match_floor(volume, SIGMA, torch.tensor(1.0))
    assert same is volume
    assert level is SIGMA


@pytest.mark.parametrize("signal", [0.0, 10.0, 25.0, 60.0])
@pytest.mark.parametrize("ratio", [0.1, 0.5])
def test_the_bias_taken_away_is_that_of_the_floor_and_less_in_tissue(signal: float, ratio: float) -> None:
    floor = ratio * 10
    mean = rice_mean(signal, floor)  # what the image shows of this signal
    volume, level = match_floor(even_image(mean), SIGMA, torch.tensor(ratio))
    here, s = float(volume[4, 4, 4]), float(level[4, 4, 4])
    assert floor <= s <= 10 + 1e-5
    # a denoiser of Rician noise of level s gives the signal back; what three tenths of the floor explain stays on it
    left = mean - rice_mean(signal, floor * (1 - 0.3 * min(max(signal / 8 - 1, 0), 1)))
    assert here == pytest.approx(rice_mean(signal, s) + left, abs=0.05) and left >= 0


@pytest.mark.parametrize("signal", [0.0, 30.0, 100.0])
def test_many_coils_look_like_one(signal: float) -> None:
    mean = 10 * float(chi_moments(np.array(signal / 10), 8)[0])
    volume, level = match_floor(even_image(mean), SIGMA, torch.tensor(1.0), coils=8)
    assert level is SIGMA
    assert float(volume[4, 4, 4]) == pytest.approx(
        10 * float(rice_moments(np.array(signal / 10))[0]), abs=0.15
    )  # a table's steps


def test_bright_tissue_and_its_level_stay() -> None:
    volume, level = match_floor(even_image(500.0), SIGMA, torch.tensor(0.2))
    assert volume.numpy() == pytest.approx(500, abs=0.2)
    assert level.numpy() == pytest.approx(10)


def test_masked_zeros_stay_zero_and_do_not_darken_their_neighbours() -> None:
    volume = even_image(20.0)
    volume[:4] = 0
    matched, _ = match_floor(volume, SIGMA, torch.tensor(0.3))
    assert (matched[:4] == 0).all()
    assert torch.allclose(matched[4], matched[6], atol=1e-3)


def test_share_and_sigma_may_be_maps() -> None:
    volume = even_image(5.0)
    ratio = torch.linspace(0.1, 1, 8)[:, None, None].expand(8, 8, 8)
    matched, level = match_floor(volume, torch.full((8, 8, 8), 10.0), ratio)
    assert matched.shape == level.shape == volume.shape
    assert (level[1:] >= level[:-1] - 1e-4).all()
