"""Tiles: together they give what the whole slice would have given."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mri_denoise.inference.slices import SliceDenoiseInferer
from mri_denoise.inference.tiling import HALO, denoise_in_tiles, spans
from mri_denoise.networks import HMADNet, integers


@pytest.mark.parametrize("length", [100, 1024, 1025, 1500, 2048, 2049, 5000])
@pytest.mark.parametrize("tile", [256, 1024])
def test_spans_cover_everything_once_with_their_surroundings(length: int, tile: int) -> None:
    found = spans(length, tile)
    covered = [i for span in found for i in range(length)[span.kept]]
    assert covered == list(range(length))
    for span in found:
        assert span.stop - span.start <= tile or length <= tile
        assert span.start == max(span.inner - HALO, 0) if len(found) > 1 else span.start == 0
        assert span.stop == min(span.outer + HALO, length)


def lively(network: HMADNet) -> HMADNet:
    """Random weights under which attention matters."""
    for parameter in network.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=(2 / parameter[0].numel()) ** 0.5)
    return network.eval()


def picture(channels: int, height: int, width: int) -> torch.Tensor:
    """Bright on one side and dark on the other, so that tiles differ from the whole."""
    ramp = torch.linspace(0, 1, width).expand(1, channels, height, width)
    return ramp * torch.from_numpy(np.random.default_rng(0).random((1, channels, height, width), dtype=np.float32))


@pytest.mark.parametrize(
    "options",
    [
        {"channels": (4, 8, 16), "shuffle": 2, "head": "residual"},
        {"channels": (4, 4, 8, 8), "head": "sigmoid"},
        {"channels": (4, 8), "multi_scale": True, "attention": False, "head": "residual"},
    ],
)
def test_tiles_equal_the_whole(options: dict) -> None:
    torch.manual_seed(0)
    network = lively(HMADNet(num_slices=3, **options))
    x = picture(3, 131, 470)
    with torch.no_grad():
        whole, tiled = network(x), denoise_in_tiles(network, network, x, 448)
    spread = (whole.max() - whole.min()).item()
    assert (whole - tiled).abs().max().item() < 1e-5 * spread
    assert not any(m._forward_pre_hooks for m in network.modules())


def test_attention_must_be_shared_between_tiles() -> None:
    torch.manual_seed(0)
    network = lively(HMADNet(channels=(4, 8, 16), head="residual"))
    x = picture(1, 64, 470)
    with torch.no_grad():
        whole = network(x)
        alone = denoise_in_tiles(network, None, x, 448)
    assert (whole - alone).abs().max() > 1e-3 * (whole.max() - whole.min())


def test_the_inferer_cuts_large_slices() -> None:
    torch.manual_seed(0)
    network = lively(HMADNet(channels=(4, 8), shuffle=2, head="residual"))
    sizes: list[int] = []
    network.register_forward_pre_hook(lambda module, inputs: sizes.append(max(inputs[0].shape[2:])))
    x = picture(1, 450, 452)[..., None] + 0.01 * torch.rand(1, 1, 450, 452, 3)  # no blank rows, which are left out
    with torch.no_grad():
        whole, tiled = (SliceDenoiseInferer(precision="float32", tile=t)(x, network, slice_axis=2) for t in (452, 448))
    assert sizes[:3] == [452] * 3 and max(sizes[3:]) <= 448
    torch.testing.assert_close(tiled, whole, rtol=1e-4, atol=1e-5)
    if integers.supported():  # each tile would be rounded by its own range, and the next one by another
        with torch.no_grad():
            assert torch.equal(SliceDenoiseInferer(precision="int8", tile=448)(x, network, slice_axis=2), tiled)
    with pytest.raises(ValueError, match="tile"):
        SliceDenoiseInferer(tile=100)
