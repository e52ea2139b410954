"""A pruned network keeps the channels that matter."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mri_denoise.networks import HMADNet
from mri_denoise.training.pruning import channel_counts, channel_importance, prune, stage_widths


def network(channels: tuple[int, ...] = (8, 16, 24)) -> HMADNet:
    torch.manual_seed(0)
    made = HMADNet(channels=channels, num_slices=3, noise_map=True, head="scaled_residual", shuffle=2)
    nn.init.normal_(made.last.weight, std=0.1)
    return made


def batches() -> list[tuple[torch.Tensor, torch.Tensor]]:
    torch.manual_seed(1)
    return [(torch.rand(2, 4, 16, 24), torch.rand(2, 1, 16, 24)) for _ in range(2)]


def silence(made: HMADNet, names: dict[str, slice]) -> None:
    """Let channels give 0: their convolutions have no weights, and SiLU of 0 is 0."""
    with torch.no_grad():
        for name, channels in names.items():
            layer = made.get_submodule(name)
            out = layer.weight.movedim(1, 0) if isinstance(layer, nn.ConvTranspose2d) else layer.weight
            out[channels] = 0
            layer.bias[channels] = 0


def test_channels_that_give_nothing_are_cut_and_nothing_changes() -> None:
    made = network()
    places = {
        "encoders.0": slice(2, 4),
        "encoders.1": slice(0, 4),
        "decoders.0": slice(9, 13),
        "decoders.1": slice(6, 8),
    }
    for stage, channels in places.items():
        silence(made, {f"{stage}.block.{layer}": channels for layer in ("body.0", "body.2", "skip")})
    inner = slice(10, 16)
    silence(made, {f"bottleneck.blocks.0.{layer}": inner for layer in ("body.0", "body.2", "skip")})
    silence(made, {f"bottleneck.blocks.1.{layer}": inner for layer in ("body.0", "body.2")})
    silence(made, {"ups.0": slice(0, 4), "ups.1": slice(3, 5)})
    narrow = prune(made, (6, 12, 18), batches(), nn.MSELoss())
    assert stage_widths(narrow) == (6, 12, 18) and stage_widths(made) == (8, 16, 24)
    image = batches()[0][0]
    with torch.no_grad():
        torch.testing.assert_close(narrow(image), made(image), rtol=0, atol=1e-6)


def test_importance_is_the_squared_derivative() -> None:
    made, [(image, target), _] = network(), batches()
    found = channel_importance(made, [(image, target)], nn.MSELoss())
    assert {name: len(values) for name, values in found.items()} == channel_counts((8, 16, 24))
    step, values = 1e-2, []
    for factor in (1 - step, 1 + step):
        hook = made.ups[1].register_forward_hook(
            lambda module, inputs, output, factor=factor: torch.cat((output[:, :1] * factor, output[:, 1:]), dim=1)
        )
        with torch.no_grad():
            values.append(float(nn.functional.mse_loss(made(image).double(), target.double())))
        hook.remove()
    assert float(found["ups.1"][0]) == pytest.approx(((values[1] - values[0]) / (2 * step)) ** 2, rel=0.05)
    assert not made._forward_hooks and not made.ups[1]._forward_hooks


@pytest.mark.parametrize("channels", [(8, 16), (8, 16, 25), (0, 16, 24)])
def test_other_stages_are_refused(channels: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="channels must be at most"):
        prune(network(), channels, batches(), nn.MSELoss())
