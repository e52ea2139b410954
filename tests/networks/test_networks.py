"""HMAD-Net and DnCNN against the paper's table: parts, shapes, switches, and what survives an export."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from monai.networks import convert_to_onnx, convert_to_torchscript
from torch import nn

from mri_denoise.networks import DnCNN, HMADNet
from mri_denoise.networks.blocks import (
    AttentionStage,
    ChannelAttention,
    MultiScaleBranch,
    ResidualBlock,
    SpatialAttention,
)

SMALL = (4, 8, 12)
SHIPPED = {"num_slices": 5, "noise_map": True, "head": "scaled_residual", "shuffle": 2}


def small(**options: Any) -> HMADNet:
    """A network of few channels whose last layer is not zero, in evaluation mode."""
    torch.manual_seed(0)
    network = HMADNet(**{"channels": SMALL} | options)
    nn.init.normal_(network.last.weight, std=0.3)
    return network.eval()


def count(network: nn.Module, kind: type) -> int:
    return sum(isinstance(module, kind) for module in network.modules())


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def silu(x: np.ndarray) -> np.ndarray:
    return x * sigmoid(x)


@pytest.mark.parametrize("shape", [(2, 16, 5, 6), (2, 16, 3, 4, 5)])
def test_channel_attention_is_both_poolings_through_one_small_network(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    module = ChannelAttention(len(shape) - 2, 16, reduction=2)
    x = torch.randn(shape)
    first, second = module.squeeze, module.excite
    w1, b1 = (p.detach().double().numpy().reshape(8, -1) for p in (first.weight, first.bias))
    w2, b2 = (p.detach().double().numpy().reshape(16, -1) for p in (second.weight, second.bias))
    flat = x.double().numpy().reshape(2, 16, -1)
    total = np.zeros((2, 16))
    for pooled in (flat.mean(-1), flat.max(-1)):
        total += silu(pooled @ w1.T + b1[:, 0]) @ w2.T + b2[:, 0]
    expected = flat * sigmoid(total)[..., None]
    np.testing.assert_allclose(module(x).detach().numpy(), expected.reshape(shape), rtol=1e-5, atol=1e-6)


def test_spatial_attention_is_a_7_wide_convolution_of_mean_and_maximum() -> None:
    torch.manual_seed(0)
    module = SpatialAttention(2)
    assert module.conv.weight.shape == (1, 2, 7, 7)
    x = torch.randn(2, 5, 9, 8)
    summary = torch.stack((x.mean(1), x.max(1).values), 1)
    columns = F.unfold(summary, 7, padding=3)
    weights = torch.einsum("k,nkl->nl", module.conv.weight.reshape(-1), columns) + module.conv.bias
    expected = x * torch.sigmoid(weights).reshape(2, 1, 9, 8)
    torch.testing.assert_close(module(x), expected)


@pytest.mark.parametrize("scale", [1.0, 0.2])
def test_the_residual_block_adds_its_input_to_the_scaled_body(scale: float) -> None:
    block = ResidualBlock(2, 3, 3, residual=True, scale=scale)
    block.body = nn.Conv2d(3, 3, 1, bias=False)
    nn.init.dirac_(block.body.weight)
    x = torch.rand(1, 3, 4, 5)
    torch.testing.assert_close(block(x), (1 + scale) * x)


def test_the_skip_is_projected_only_where_the_width_changes() -> None:
    assert isinstance(ResidualBlock(2, 4, 4).skip, nn.Identity)
    skip = ResidualBlock(2, 4, 6).skip
    assert isinstance(skip, nn.Conv2d) and skip.kernel_size == (1, 1)


def test_the_parts_are_those_of_the_papers_table() -> None:
    network = HMADNet()
    for stage in [*network.encoders, *network.decoders]:
        kinds = [type(m) for m in stage.block.body]
        assert kinds == [nn.Conv2d, nn.SiLU, nn.Conv2d, nn.SiLU]
        assert all(stage.block.body[i].kernel_size == (3, 3) and stage.block.body[i].padding == (1, 1) for i in (0, 2))
        assert stage.block.scale == 1 and isinstance(stage.attention, ChannelAttention)
    assert [block.scale for block in network.bottleneck.blocks] == [0.2, 0.2]
    assert isinstance(network.bottleneck.channel_attention, ChannelAttention)
    assert isinstance(network.bottleneck.spatial_attention, SpatialAttention)
    assert network.pool.kernel_size == 2 and isinstance(network.pool, nn.MaxPool2d)
    for up in network.ups:
        assert isinstance(up, nn.ConvTranspose2d) and up.kernel_size == up.stride == (2, 2)
    widths = [up.out_channels for up in network.ups]
    # each decoder takes what comes up and the encoder's stage of the same width
    assert [d.block.body[0].in_channels for d in network.decoders] == [2 * w for w in widths]
    assert network.last.kernel_size == (1, 1) and network.last.out_channels == 1
    assert count(network, nn.ReLU) == 0


def test_table_4_switches_give_four_networks() -> None:
    sizes = {}
    for attention in (True, False):
        for residual in (True, False):
            network = HMADNet(attention=attention, residual=residual)
            attentions = count(network, ChannelAttention) + count(network, SpatialAttention)
            assert attentions == (8 if attention else 0)
            projections = [
                m for m in network.modules() if isinstance(m, ResidualBlock) and isinstance(m.skip, nn.Conv2d)
            ]
            assert len(projections) == (7 if residual else 0)
            sizes[attention, residual] = sum(p.numel() for p in network.parameters())
    assert len(set(sizes.values())) == 4
    # without skips, a body of zeros gives nothing; with one, its input
    for residual in (True, False):
        block = AttentionStage(2, 3, 3, attention=False, residual=residual)
        nn.init.zeros_(block.block.body[2].weight)
        nn.init.zeros_(block.block.body[2].bias)
        x = torch.rand(1, 3, 4, 4)
        torch.testing.assert_close(block(x), x if residual else torch.zeros_like(x))


def test_the_multi_scale_branch_has_kernels_of_three_sizes_and_is_felt() -> None:
    network = small(multi_scale=True)
    assert isinstance(network.multi_scale, MultiScaleBranch)
    assert [c.kernel_size for c in network.multi_scale.convs] == [(3, 3), (5, 5), (7, 7)]
    x = torch.rand(1, 1, 11, 10)
    with torch.no_grad():
        before = network(x)
        network.multi_scale.fuse.bias += 1
        assert not torch.allclose(before, network(x))
    assert small().multi_scale is None


@pytest.mark.parametrize("size", [(1, 1), (7, 13), (8, 8), (1, 30), (33, 16)])
@pytest.mark.parametrize("options", [{}, SHIPPED, {"multi_scale": True}], ids=["paper", "shipped", "multi-scale"])
def test_any_size_in_two_dimensions(size: tuple[int, int], options: dict[str, Any]) -> None:
    network = small(**options)
    with torch.no_grad():
        y = network(torch.rand(2, network.input_channels, *size))
    assert y.shape == (2, 1, *size) and torch.isfinite(y).all()


@pytest.mark.parametrize("size", [(1, 1, 1), (7, 13, 5), (8, 4, 12)])
@pytest.mark.parametrize("head", ["sigmoid", "residual"])
def test_any_size_in_three_dimensions(size: tuple[int, ...], head: str) -> None:
    network = small(spatial_dims=3, noise_map=True, multi_scale=True, head=head)
    with torch.no_grad():
        y = network(torch.rand(1, 2, *size))
    assert y.shape == (1, 1, *size) and torch.isfinite(y).all()


def test_a_size_that_fits_is_not_changed_by_the_padding() -> None:
    network = small()
    x = torch.rand(1, 1, 6, 7)
    with torch.no_grad():
        whole = network(F.pad(x, (0, 1, 0, 2), mode="replicate"))
        torch.testing.assert_close(network(x), whole[..., :6, :7])


@pytest.mark.parametrize(
    ("num_slices", "noise_map", "channels"), [(1, False, 1), (1, True, 2), (3, True, 4), (5, False, 5)]
)
def test_input_channels_are_slices_and_noise_map(num_slices: int, noise_map: bool, channels: int) -> None:
    for network in (small(num_slices=num_slices, noise_map=noise_map), DnCNN(2, 3, 4, num_slices, noise_map)):
        assert network.input_channels == channels
        first = next(m for m in network.modules() if isinstance(m, nn.Conv2d))
        assert first.in_channels == channels


@pytest.mark.parametrize("size", [(16, 24), (17, 9), (1, 3)])
def test_a_shuffled_stem_takes_any_size_and_keeps_every_pixel_in_its_place(size: tuple[int, int]) -> None:
    network = small(shuffle=2, num_slices=3, noise_map=True, head="scaled_residual")
    x = torch.rand(2, 4, *size)
    assert network(x).shape == (2, 1, *size)
    # only the position above the first stage's impulse may answer when attention, which looks everywhere, is off
    plain = small(shuffle=2, head="residual", attention=False)
    x = torch.zeros(1, 1, 64, 64)
    base, moved = plain(x), x.clone()
    moved[0, 0, 21, 38] = 1
    change = (plain(moved) - moved - (base - x)).abs()[0, 0]
    rows, columns = torch.nonzero(change > 0.2 * change.max(), as_tuple=True)
    assert abs(rows.double().mean() - 21) < 8 and abs(columns.double().mean() - 38) < 8
    assert count(network, nn.MaxPool2d) == 1 and network.factor == 8


def test_the_scaled_head_leaves_the_image_where_sigma_is_zero() -> None:
    network = small(num_slices=3, noise_map=True, head="scaled_residual")
    x = torch.rand(1, 4, 16, 16)
    x[:, 3, :, :8] = 0
    out = network(x)
    assert torch.equal(out[..., :8], x[:, 1:2, :, :8])
    assert (out[..., 8:] - x[:, 1:2, :, 8:]).abs().min() > 0


def test_an_untrained_residual_network_gives_the_centre_slice() -> None:
    x = torch.randn(2, 6, 9, 10)
    torch.testing.assert_close(HMADNet(channels=SMALL, **SHIPPED)(x), x[:, 2:3], rtol=0, atol=0)


def test_the_residual_head_subtracts_and_the_sigmoid_head_bounds() -> None:
    residual = small(num_slices=3, noise_map=True, head="residual")
    bounded, scaled = (small(num_slices=3, noise_map=True, head=head) for head in ("sigmoid", "scaled_residual"))
    for other in (bounded, scaled):
        other.load_state_dict(residual.state_dict())
    x = 4 * torch.rand(2, 4, 16, 12)
    with torch.no_grad():
        noise = torch.logit(bounded(x))
        assert ((bounded(x) > 0) & (bounded(x) < 1)).all()
        torch.testing.assert_close(residual(x), x[:, 1:2] - noise, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(scaled(x), x[:, 1:2] - noise * x[:, 3:], rtol=1e-3, atol=4e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_slices": 2}, "odd"),
        ({"num_slices": 0}, "odd"),
        ({"spatial_dims": 3, "num_slices": 3}, "three dimensions"),
        ({"channels": (8,)}, "two stages"),
        ({"head": "tanh"}, "head"),
    ],
)
def test_wrong_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HMADNet(**options)


NETWORKS = {
    "paper": lambda: small(),
    "shipped": lambda: small(**SHIPPED),
    "multi-scale": lambda: small(multi_scale=True, attention=False),
    "3D": lambda: small(spatial_dims=3, head="residual"),
    "DnCNN": lambda: DnCNN(depth=4, width=6, num_slices=3).eval(),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("how", ["script", "trace"])
def test_torchscript_gives_the_same_on_another_size(name: str, how: str) -> None:
    network = NETWORKS[name]()
    dims = 3 if name == "3D" else 2
    example = torch.rand(1, network.input_channels, *(16, 8, 12)[:dims])
    if how == "script":
        exported = convert_to_torchscript(network)
    else:
        exported = torch.jit.trace(network, example)
    buffer = io.BytesIO()
    torch.jit.save(exported, buffer)
    buffer.seek(0)
    exported = torch.jit.load(buffer)
    x = torch.rand(2, network.input_channels, *(7, 13, 5)[:dims])
    with torch.no_grad():
        torch.testing.assert_close(exported(x), network(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [pytest.param("shipped", marks=pytest.mark.slow), "DnCNN"])
def test_onnx_gives_the_same_on_another_size(name: str, tmp_path: Path) -> None:
    network = NETWORKS[name]()
    axes = {"x": {0: "batch", 2: "H", 3: "W"}, "y": {0: "batch", 2: "H", 3: "W"}}
    example, file = torch.rand(1, network.input_channels, 16, 24), str(tmp_path / "network.onnx")
    convert_to_onnx(network, [example], input_names=["x"], output_names=["y"], dynamic_axes=axes, filename=file)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    x = torch.rand(2, network.input_channels, 13, 10)
    with torch.no_grad():
        expected = network(x).numpy()
    np.testing.assert_allclose(session.run(None, {"x": x.numpy()})[0], expected, rtol=1e-4, atol=1e-5)


def test_dncnn_is_that_of_the_publication() -> None:
    network = DnCNN()
    assert count(network, nn.Conv2d) == 17 and count(network, nn.BatchNorm2d) == 15 and count(network, nn.ReLU) == 16
    # 64 filters of 3 x 3 and a bias; 15 layers of 64 x 64 x 9 with two numbers a channel to normalise; the last one
    assert sum(p.numel() for p in network.parameters()) == (9 * 64 + 64) + 15 * (64 * 64 * 9 + 2 * 64) + (9 * 64 + 1)
    assert network(torch.rand(1, 1, 5, 7)).shape == (1, 1, 5, 7)


def test_dncnn_subtracts_its_estimate_from_the_centre_slice() -> None:
    network = DnCNN(depth=3, width=4, num_slices=3, noise_map=True)
    nn.init.zeros_(network.layers[-1].weight)
    nn.init.constant_(network.layers[-1].bias, 0.25)
    x = torch.rand(2, 4, 5, 6)
    torch.testing.assert_close(network(x), x[:, 1:2] - 0.25)


@pytest.mark.parametrize(("options", "message"), [({"depth": 2}, "depth"), ({"num_slices": 4}, "odd")])
def test_dncnn_refuses_wrong_arguments(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DnCNN(**options)
