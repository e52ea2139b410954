"""In inference on a CPU, convolutions are fused with what follows: the result is that of the plain modules."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mri_denoise.networks import HMADNet
from mri_denoise.networks.blocks import ChannelAttention, ResidualBlock
from mri_denoise.networks.fused import can_fuse, convolve_add, convolve_silu, supported

pytestmark = pytest.mark.skipif(not supported(torch.float32), reason="nothing is fused on this processor")


@contextmanager
def plain() -> Iterator[None]:
    """Nothing is fused where oneDNN is switched off."""
    with torch.backends.mkldnn.flags(enabled=False):
        yield


def image(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [1, 3])
def test_the_operators_are_their_formulas(layout: torch.memory_format, size: int) -> None:
    conv = nn.Conv2d(3, 8, size, padding=size // 2)
    x, other = image(2, 3, 9, 7).to(memory_format=layout), image(2, 8, 9, 7).to(memory_format=layout)
    with torch.no_grad():
        torch.testing.assert_close(convolve_silu(conv, x), F.silu(conv(x)), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(convolve_add(conv, x, other), conv(x) + other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("out_channels", [4, 8])
@pytest.mark.parametrize("scale", [1.0, 0.2])
def test_a_block_in_inference_is_the_block_in_training(out_channels: int, scale: float) -> None:
    block, x = ResidualBlock(2, 4, out_channels, scale=scale), image(2, 4, 9, 7)
    expected = block(x).detach()
    before = x.clone()
    with torch.inference_mode():
        assert can_fuse(x) and not can_fuse(x.double())
        torch.testing.assert_close(block(x), expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(x, before)


OPTIONS: dict[str, dict[str, Any]] = {
    "paper": {},
    "shipped": {"num_slices": 5, "noise_map": True, "head": "scaled_residual", "shuffle": 2},
    "no skips": {"residual": False},
}


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_network_gives_the_same(name: str, precision: str) -> None:
    torch.manual_seed(0)
    network = HMADNet(channels=(8, 16, 24), **OPTIONS[name]).eval()
    nn.init.normal_(network.last.weight, std=0.3)
    x = image(2, network.input_channels, 21, 18).abs()
    with torch.no_grad(), plain():
        exact = network(x)
    enabled = precision == "bfloat16"
    if enabled and not supported(torch.bfloat16):
        pytest.skip("this processor has no bfloat16")
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=enabled), plain():
        unfused = network(x).float()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=enabled):
        fused = network(x).float()
    if not enabled:
        torch.testing.assert_close(fused, exact, rtol=1e-5, atol=1e-5)
    else:
        # both are rounded, each in its own way: neither may be further from the truth than the type explains
        errors = [(y - exact).square().mean().sqrt().item() for y in (unfused, fused)]
        assert 0 < errors[1] < 2 * errors[0]


def test_it_is_left_alone_where_gradients_or_plain_operators_are_wanted() -> None:
    block, x = ResidualBlock(2, 4, 4), image(1, 4, 8, 8)
    assert not can_fuse(x)  # gradients are on
    block(x).sum().backward()
    assert block.body[0].weight.grad is not None
    with torch.no_grad():
        assert can_fuse(x) and not can_fuse(image(1, 4, 8, 8, 8)) and not can_fuse(x.double())
        traced = torch.jit.trace(block, x)
    assert "mkldnn" not in str(traced.inlined_graph)
    with FlopCounterMode(display=False) as counter:
        block(x)
    assert counter.get_total_flops() == 2 * 2 * 4 * 4 * 9 * 64


def test_attention_takes_the_place_of_its_input_in_inference_alone() -> None:
    module, x = ChannelAttention(2, 8), image(2, 8, 5, 6)
    before, expected = x.clone(), module(x).detach()
    assert torch.equal(x, before)
    with torch.inference_mode():
        y = module(x)
    assert y.data_ptr() == x.data_ptr()
    torch.testing.assert_close(y, expected)


def test_names_of_weights_are_those_of_a_plain_sequence() -> None:
    names = set(ResidualBlock(2, 4, 8).state_dict())
    assert names == {f"{layer}.{kind}" for layer in ("body.0", "body.2", "skip") for kind in ("weight", "bias")}
