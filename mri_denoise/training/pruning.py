"""Make a narrower HMAD-Net of a trained one: keep the channels that matter most, and train on.

The importance of a channel is the sum of squares of the loss's derivative by a factor on that channel (Molchanov et
al., "Importance Estimation for Neural Network Pruning", CVPR 2019, https://doi.org/10.1109/CVPR.2019.01152). A pruned
network starts much closer to the trained one than random weights do, so training on takes a fraction of the steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import nn

from mri_denoise.networks import HMADNet

Channels = dict[str, torch.Tensor]  # by the name of the layer that gives them


def prune(
    network: HMADNet,
    channels: Sequence[int],
    batches: Iterable[tuple[torch.Tensor, torch.Tensor]],
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> HMADNet:
    """Prune a network.

    Args:
        network: in two dimensions, with attention and residual blocks. Unchanged afterwards.
        channels: feature maps of each stage that are left.
        batches: inputs, shape (N, C, H, W), and targets, (N, 1, H, W), as in training.
        loss: of results and targets; a scalar.

    Returns:
        the narrower network, with the same input and output.

    Raises:
        ValueError: if the stages differ in number, or one would become wider.
    """
    widths = stage_widths(network)
    if len(channels) != len(widths) or any(not 0 < new <= old for new, old in zip(channels, widths, strict=True)):
        raise ValueError(f"channels must be at most {widths}, got {tuple(channels)}.")
    importance = channel_importance(network, batches, loss)
    kept = {name: importance[name].topk(n).indices.sort().values for name, n in channel_counts(channels).items()}
    narrow = HMADNet(
        channels=channels,
        num_slices=network.num_slices,
        noise_map=network.in_channels > network.num_slices,
        head=network.head,
        shuffle=network.shuffle,
    )
    narrow.load_state_dict(_cut(network.state_dict(), kept, widths))
    return narrow


def stage_widths(network: HMADNet) -> tuple[int, ...]:
    """Tell the feature maps of each stage."""
    state = network.state_dict()
    encoders = (state[f"encoders.{k}.block.body.0.weight"] for k in range(len(network.encoders)))
    return *(len(weight) for weight in encoders), len(state["bottleneck.blocks.0.body.0.weight"])


def channel_counts(channels: Sequence[int]) -> dict[str, int]:
    """Count the channels of each layer of a network with these stages, as :func:`channel_importance` names them."""
    counts: dict[str, int] = {}
    outer = [(f"encoders.{k}", n) for k, n in enumerate(channels[:-1])]
    outer += [(f"decoders.{k}", n) for k, n in enumerate(channels[-2::-1])]
    for name, n in outer:
        counts |= {f"{name}.block.body.1": n, name: n, f"{name}.attention.act": _hidden(n)}
    counts |= {f"ups.{k}": n for k, n in enumerate(channels[-2::-1])}
    inner = channels[-1]
    counts |= {f"bottleneck.blocks.{k}.body.1": inner for k in range(2)}
    return counts | {"bottleneck.blocks.0": inner, "bottleneck.channel_attention.act": _hidden(inner)}


def channel_importance(
    network: HMADNet,
    batches: Iterable[tuple[torch.Tensor, torch.Tensor]],
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> Channels:
    """Measure the importance of each channel; arguments as for :func:`prune`."""
    factors, hooks = {}, []
    for name, count in channel_counts(stage_widths(network)).items():
        factors[name] = torch.ones(1, count, 1, 1, requires_grad=True)
        hooks.append(network.get_submodule(name).register_forward_hook(_multiply(factors[name])))
    found = {name: torch.zeros(factor.shape[1]) for name, factor in factors.items()}
    try:
        for image, target in batches:
            gradients = torch.autograd.grad(loss(network(image), target), list(factors.values()))
            for name, gradient in zip(factors, gradients, strict=True):
                found[name] += gradient.flatten().square()
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _multiply(factor: torch.Tensor) -> Callable[[nn.Module, object, torch.Tensor], torch.Tensor]:
    """A hook that multiplies what a layer gives."""

    def hook(module: nn.Module, inputs: object, output: torch.Tensor) -> torch.Tensor:
        return output * factor

    return hook


def _hidden(channels: int) -> int:
    """Channels of an attention's hidden layer (:class:`~mri_denoise.networks.blocks.ChannelAttention`)."""
    return max(channels // 8, 4)


def _cut(state: Mapping[str, torch.Tensor], kept: Channels, widths: Sequence[int]) -> dict[str, torch.Tensor]:
    """The weights of the channels that are kept."""
    cut = dict(state)

    def select(name: str, outputs: torch.Tensor | None, inputs: torch.Tensor | None) -> None:
        first, second = (inputs, outputs) if name.startswith("ups.") else (outputs, inputs)  # transposed convolutions
        weight = state[f"{name}.weight"]
        weight = weight if first is None else weight[first]
        cut[f"{name}.weight"] = weight if second is None else weight[:, second]
        if outputs is not None:
            cut[f"{name}.bias"] = state[f"{name}.bias"][outputs]

    def block(name: str, inputs: torch.Tensor | None, outputs: torch.Tensor) -> None:
        middle = kept[f"{name}.body.1"]
        select(f"{name}.body.0", middle, inputs)
        select(f"{name}.body.2", outputs, middle)
        if f"{name}.skip.weight" in state:
            select(f"{name}.skip", outputs, inputs)

    def attention(name: str, channels: torch.Tensor) -> None:
        select(f"{name}.squeeze", kept[f"{name}.act"], channels)
        select(f"{name}.excite", channels, kept[f"{name}.act"])

    flowing: torch.Tensor | None = None
    for k in range(len(widths) - 1):
        block(f"encoders.{k}.block", flowing, kept[f"encoders.{k}"])
        flowing = kept[f"encoders.{k}"]
        attention(f"encoders.{k}.attention", flowing)
    for k in range(2):
        block(f"bottleneck.blocks.{k}", flowing, kept["bottleneck.blocks.0"])
        flowing = kept["bottleneck.blocks.0"]
    attention("bottleneck.channel_attention", kept["bottleneck.blocks.0"])
    for k, width in enumerate(widths[-2::-1]):
        select(f"ups.{k}", kept[f"ups.{k}"], flowing)
        joined = torch.cat((kept[f"ups.{k}"], width + kept[f"encoders.{len(widths) - 2 - k}"]))
        block(f"decoders.{k}.block", joined, kept[f"decoders.{k}"])
        flowing = kept[f"decoders.{k}"]
        attention(f"decoders.{k}.attention", flowing)
    select("last", None, flowing)
    return cut
