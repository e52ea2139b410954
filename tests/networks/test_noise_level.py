"""The network that estimates the level of the noise: its blocks against SciPy, its sizes, and missing neighbours."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.fft import dctn

from mri_denoise.networks.noise_level import BLOCK, NoiseLevelNet, cosine_basis


@pytest.fixture
def network() -> NoiseLevelNet:
    torch.manual_seed(0)
    made = NoiseLevelNet(channels=(8, 12)).eval()
    torch.nn.init.normal_(made.head.weight)
    return made


def test_blocks_are_transformed_as_scipy_does() -> None:
    block = np.random.default_rng(0).normal(size=(BLOCK, BLOCK)).astype(np.float32)
    found = torch.einsum("cxy,xy->c", cosine_basis()[:, 0], torch.from_numpy(block))
    assert found.reshape(BLOCK, BLOCK).numpy() == pytest.approx(dctn(block, norm="ortho"), abs=1e-6)


@pytest.mark.parametrize("shape", [(8, 8), (8, 64), (40, 24)])
def test_there_is_a_level_and_an_error_for_each_cell(network: NoiseLevelNet, shape: tuple[int, int]) -> None:
    with torch.inference_mode():
        found = network(torch.rand(2, 3, *shape))
    assert found.shape == (2, 2, shape[0] // 8, shape[1] // 8) and torch.isfinite(found).all()


def test_slabs_do_not_change_each_other(network: NoiseLevelNet) -> None:
    slabs = 10 * torch.rand(3, 3, 32, 32)
    with torch.inference_mode():
        together = network(slabs)
        alone = torch.cat([network(slab[None]) for slab in slabs])
    assert together.numpy() == pytest.approx(alone.numpy(), abs=1e-4)


def test_what_repeats_in_depth_counts_unless_the_neighbour_is_missing(network: NoiseLevelNet) -> None:
    slab = 10 * torch.rand(1, 3, 32, 32)
    repeated, missing = slab.clone(), slab.clone()
    repeated[:, 0], missing[:, 0] = slab[:, 1], 0
    with torch.inference_mode():
        first, second, third = (network(variant)[:, 0] for variant in (slab, repeated, missing))
    assert (first - second).abs().max() > 1e-3
    assert (second - third).abs().max() > 1e-3
