"""The network that refines the filter's result: where it is the identity, its sizes, how far it sees."""

from __future__ import annotations

import pytest
import torch

from mri_denoise.networks import RefineNet


@pytest.fixture
def network() -> RefineNet:
    torch.manual_seed(0)
    made = RefineNet(channels=(8, 16), num_slices=3).eval()
    torch.nn.init.normal_(made.last.weight)
    return made


def images(height: int, width: int, sigma: float = 0.05) -> torch.Tensor:
    """Filtered and noisy slices, a pilot and the level of the noise."""
    clean = torch.rand(2, 7, height, width, generator=torch.Generator().manual_seed(1))
    return torch.cat((clean, torch.full((2, 1, height, width), sigma)), dim=1)


def test_an_untrained_network_gives_the_filtered_slice() -> None:
    x = images(20, 24)
    assert torch.equal(RefineNet()(x), x[:, 1:2])


@pytest.mark.parametrize("shape", [(8, 8), (5, 9), (50, 61)])
def test_any_size_and_no_change_without_noise(network: RefineNet, shape: tuple[int, int]) -> None:
    with torch.inference_mode():
        assert network(images(*shape)).shape == (2, 1, *shape)
        clean = images(*shape, sigma=0.0)
        assert torch.equal(network(clean), clean[:, 1:2])


def test_the_correction_follows_the_level_where_everything_does(network: RefineNet) -> None:
    """A scaled image with scaled noise has the scaled correction, but for what the level itself does."""
    x = images(24, 24)
    with torch.inference_mode():
        whole, half = (network(factor * x)[:, 0] - factor * x[:, 1] for factor in (1.0, 0.999))
    torch.testing.assert_close(half, 0.999 * whole, rtol=1e-2, atol=1e-4)


def test_a_place_does_not_depend_on_what_is_far_away(network: RefineNet) -> None:
    x = images(160, 160)
    changed = x.clone()
    changed[:, :, :40] = 1 - changed[:, :, :40]
    with torch.inference_mode():
        first, second = network(x), network(changed)
    assert torch.equal(first[:, :, 100:], second[:, :, 100:])
    assert not torch.equal(first[:, :, :40], second[:, :, :40])


def test_every_part_of_the_input_counts(network: RefineNet) -> None:
    x = images(24, 24)
    with torch.inference_mode():
        before = network(x)
        for channel in range(8):
            changed = x.clone()
            changed[:, channel] *= 0.9
            assert not torch.equal(network(changed) - changed[:, 1:2], before - x[:, 1:2]), channel
