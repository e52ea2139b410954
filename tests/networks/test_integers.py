"""Convolutions in integers: their formula, where they are used, and that nothing saturates."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mri_denoise.inference.mixed_precision import MixedPrecisionInferer
from mri_denoise.networks import HMADNet, integers
from mri_denoise.networks.blocks import ResidualBlock
from mri_denoise.networks.fused import convolve_silu

needs_integers = pytest.mark.skipif(not integers.supported(), reason="this processor does not convolve in integers")


def conv_of(inputs: int, outputs: int, size: int = 3) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(inputs, outputs, size, padding=size // 2).requires_grad_(False)


def image(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def by_hand(conv: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    """The same in float64, whose sums of such integers are exact."""
    values, weight = x.double().numpy(), conv.weight.double()
    low, high = min(values.min(), 0.0), max(values.max(), 0.0)
    scale = (high - low) / 126
    zero = round(-low / scale)
    rounded = np.floor(np.float32(values / scale) + np.float32(zero + 0.5)) - zero
    assert -zero <= rounded.min() and rounded.max() <= 127 - zero
    scales = weight.abs().amax((1, 2, 3)) / 127
    whole = torch.round(weight / scales[:, None, None, None])
    sums = F.conv2d(torch.from_numpy(rounded).double(), whole, padding=conv.padding)
    bias = 0 if conv.bias is None else conv.bias.double()[:, None, None]
    return F.silu(sums * scale * scales[:, None, None] + bias)


@needs_integers
@given(st.integers(1, 40), st.integers(1, 40), st.floats(-4, 4), st.floats(-6, 6), st.integers(0, 99))
def test_the_operator_is_its_formula(inputs: int, outputs: int, offset: float, power: float, seed: int) -> None:
    conv, x = conv_of(inputs, outputs), (image(1, inputs, 6, 9, seed=seed) + offset) * 10**power
    found, expected = integers.convolve_silu(conv, x).double(), by_hand(conv, x)
    # a value between two integers may be rounded to the other one in float32
    step = (x.max().clamp_min(0) - x.min().clamp_max(0)).item() / 126 * conv.weight.abs().max().item()
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max() + 3 * step
    assert (found - expected).abs().mean() <= 1e-5 * expected.abs().max() + 0.01 * step


@needs_integers
@pytest.mark.parametrize("offset", [9.0, -9.0], ids=["positive", "negative"])
def test_all_of_one_sign(offset: float) -> None:
    conv, x = conv_of(3, 5), image(1, 3, 8, 8) + offset
    exact = F.silu(conv(x))
    assert (integers.convolve_silu(conv, x) - exact).abs().max() < 0.05 * exact.abs().max()


@needs_integers
def test_nothing_saturates() -> None:
    conv, x = nn.Conv2d(64, 8, 3, padding=1).requires_grad_(False), torch.ones(1, 64, 7, 7)
    conv.weight.fill_(1.0), conv.bias.zero_()
    inside = integers.convolve_silu(conv, x)[..., 1:-1, 1:-1]
    torch.testing.assert_close(inside, torch.full_like(inside, 64 * 9.0), rtol=1e-5, atol=0)
    conv.weight[:, 1::2] = -1.0
    inside = integers.convolve_silu(conv, x)[..., 1:-1, 1:-1]
    torch.testing.assert_close(inside, torch.zeros_like(inside), rtol=0, atol=1e-4)


@needs_integers
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_is_convolved_as_it_is(value: float) -> None:
    conv, x = conv_of(3, 4), image(1, 3, 8, 8)
    x[0, 1, 2, 3] = value
    torch.testing.assert_close(integers.convolve_silu(conv, x), F.silu(conv(x)), equal_nan=True)


@needs_integers
def test_nothing_but_zeros_gives_the_bias() -> None:
    conv = conv_of(3, 4)
    found = integers.convolve_silu(conv, torch.zeros(1, 3, 5, 5))
    torch.testing.assert_close(found, F.silu(conv.bias)[:, None, None].expand(1, 4, 5, 5))


@needs_integers
def test_weights_may_be_made_for_inference_alone() -> None:
    integers.supported.cache_clear()
    with torch.inference_mode():
        assert integers.supported()
        conv, x = conv_of(3, 4), image(1, 3, 8, 8)
        for _ in range(2):
            assert (integers.convolve_silu(conv, x) - F.silu(conv(x))).abs().max() < 0.05
            conv.weight.mul_(0.5)


@needs_integers
def test_weights_that_change_are_rounded_again() -> None:
    conv, x = conv_of(3, 4), image(1, 3, 8, 8)
    before = integers.convolve_silu(conv, x)
    assert torch.equal(integers.convolve_silu(conv, x), before)
    conv.weight.mul_(-2)
    conv.bias.add_(1)
    after = integers.convolve_silu(conv, x)
    assert (after - F.silu(conv(x))).abs().max() < 0.05 < (after - before).abs().max()


@needs_integers
def test_a_network_convolves_in_integers_where_that_is_wanted_and_in_that_thread_alone() -> None:
    block, x = ResidualBlock(2, 8, 8), image(1, 8, 12, 12)
    others: list[torch.Tensor] = []

    def elsewhere() -> None:
        with torch.inference_mode():
            others.append(block(x))

    with torch.inference_mode():
        exact = block(x)
        with integers.in_integers():
            rounded = block(x)
            thread = threading.Thread(target=elsewhere)
            thread.start()
            thread.join()
            with integers.in_integers(False):
                assert torch.equal(block(x), exact)
        assert torch.equal(block(x), exact) and torch.equal(others[0], exact)
    with integers.in_integers():
        torch.testing.assert_close(block(x).detach(), exact)  # gradients are wanted: plain operators
    assert 0 < (rounded - exact).abs().max() < 0.05 * exact.abs().max()


@needs_integers
def test_the_convolution_that_sees_the_image_is_exact() -> None:
    """Seven bits would be a coarser image: one of small differences would be lost."""
    torch.manual_seed(0)
    network = HMADNet(channels=(8, 16), num_slices=3, noise_map=True, head="scaled_residual", shuffle=2).eval()
    assert [stage.block.body.exact for stage in network.encoders] == [True]
    assert not any(stage.block.body.exact for stage in network.decoders)
    seen = network.encoders[0].block.body
    plain = 1000 + torch.zeros(1, 16, 12, 12)
    x = plain + image(1, 16, 12, 12)  # which is less than a step of 7 bits
    inner = (..., slice(3, -3), slice(3, -3))  # away from the border, where zeros are padded
    with torch.inference_mode():
        exact = seen[0](x)[inner] - seen[0](plain)[inner]
        with integers.in_integers():
            first = (
                convolve_silu(seen[0], x, exact=seen.exact)[inner] - convolve_silu(seen[0], plain, exact=True)[inner]
            )
            rounded = convolve_silu(seen[0], x)[inner] - convolve_silu(seen[0], plain)[inner]
    active = seen[0](plain)[inner] > 10  # where SiLU is the identity
    assert active.any() and exact[active].std() > 0.1
    assert (first - exact)[active].abs().max() < 0.02
    assert (rounded - exact)[active].abs().max() > 0.2


@needs_integers
def test_an_image_is_rounded_by_its_own_range() -> None:
    conv, small, large = conv_of(4, 4), image(1, 4, 8, 8), 100 * image(1, 4, 8, 8, seed=2)
    both = integers.convolve_silu(conv, torch.cat((small, large)))
    for one, found in zip((small, large), both.split(1), strict=True):
        assert torch.equal(integers.convolve_silu(conv, one), found)
    assert integers.convolve_silu(conv, torch.empty(0, 4, 8, 8)).shape == (0, 4, 8, 8)


@needs_integers
def test_the_answer_draws_no_random_numbers() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    integers.supported.cache_clear()
    assert integers.supported() and torch.equal(torch.rand(1), expected)


@needs_integers
def test_the_inferer_convolves_in_integers() -> None:
    block, x = ResidualBlock(2, 8, 8).eval().requires_grad_(False), image(3, 8, 40, 30)
    with torch.inference_mode():
        exact, rounded = (MixedPrecisionInferer(name)(x, block) for name in ("float32", "int8"))
        with integers.in_integers():
            expected = block(x)
    assert torch.equal(rounded, expected) and not torch.equal(rounded, exact)


def test_precision_int8_is_refused_where_it_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integers, "supported", lambda: False)
    with pytest.raises(ValueError, match="AVX2; use float32"):
        MixedPrecisionInferer("int8")
