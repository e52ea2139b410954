"""Convolutions in 8-bit integers, for inference on x86 processors: one and a half to two times as fast as in float32.

Weights are rounded to -127 ... 127 once, with a scale for each feature map that comes out, activations to 0 ... 127 at
each call, with one scale and one zero for all of them (Jacob et al. 2018, https://doi.org/10.1109/CVPR.2018.00286).
Seven bits and not eight: processors without VNNI add two products in 16 bits, which saturate. Sums are exact, so that
they have the same bits on all processors. The operators are oneDNN's, as those of :mod:`mri_denoise.networks.fused`.
"""

from __future__ import annotations

import math
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.nn import functional

_HIGHEST = 127
_LEAST = 1e-20  # of the range of activations: what is smaller is 0
_PART = 2**18  # activations that are rounded at a time: for more the system has to clear new pages
_here = threading.local()


@contextmanager
def in_integers(enabled: bool = True) -> Iterator[None]:
    """Let the residual blocks of networks convolve in integers inside the block, in this thread."""
    before = wanted()
    _here.wanted = enabled
    try:
        yield
    finally:
        _here.wanted = before


def wanted() -> bool:
    """Whether this thread is inside :func:`in_integers`."""
    return bool(getattr(_here, "wanted", False))


@cache
def supported() -> bool:
    """Tell whether this machine convolves in integers, fast and right: x86 with AVX2, and oneDNN's operators.

    The operators are not part of PyTorch's public interface. So one is tried, and compared with its formula.
    """
    if platform.machine() not in ("x86_64", "AMD64") or not torch.backends.mkldnn.is_available():
        return False
    if not hasattr(torch.cpu, "get_capabilities") or not torch.cpu.get_capabilities().get("avx2"):
        return False
    with torch.inference_mode(False), torch.no_grad():
        with torch.random.fork_rng(devices=[]):  # the weights are drawn
            conv = nn.Conv2d(2, 4, 3, padding=1)
        for parameter in conv.parameters():
            parameter.copy_(torch.linspace(-0.7, 0.9, parameter.numel()).reshape(parameter.shape))
        x = torch.linspace(-1, 3, 2 * 5 * 4).reshape(1, 2, 5, 4)
        try:
            found, expected = convolve_silu(conv, x), functional.silu(conv(x))
        except (AttributeError, RuntimeError, TypeError):  # another version of PyTorch
            return False
        return bool((found - expected).abs().amax() < 0.05 * expected.abs().amax())


def convolve_silu(conv: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    """Compute ``silu(conv(x))`` with rounded weights and activations; exactly where an activation is not finite.

    Args:
        conv: with padding by zeros. Its weights are rounded once, and again where PyTorch counts a change of them.
        x: float32, shape (N, C, H, W). Each image is rounded by its own range, whatever is beside it.

    Returns:
        float32, shape (N, C', H, W), in ``channels_last`` order.
    """
    if len(x) != 1:
        return torch.cat([convolve_silu(conv, image) for image in x.split(1)]) if len(x) else functional.silu(conv(x))
    x = x.contiguous(memory_format=torch.channels_last)
    values = x.permute(0, 2, 3, 1).flatten()  # a view, in the order of memory
    low, high = min(float(values.amin()), 0.0), max(float(values.amax()), 0.0)
    scale = max(high - low, _LEAST) / (_HIGHEST - 1)  # so that rounding the zero leads nowhere beyond the ends
    if not math.isfinite(scale):
        return functional.silu(conv(x))
    zero = round(-low / scale)
    # to signed and not to unsigned integers, which takes eight times as long: no value is above 127
    rounded = torch.empty(values.shape, dtype=torch.int8)
    for part, place in zip(values.split(_PART), rounded.split(_PART), strict=True):
        place.copy_(torch.add(zero + 0.5, part, alpha=1 / scale))
    _, c, height, width = x.shape
    weights = _rounded(conv)
    return torch.ops.onednn.qconv2d_pointwise(
        rounded.view(torch.uint8).view(1, height, width, c).permute(0, 3, 1, 2),
        scale,
        zero,
        weights.packed,
        weights.scales,
        weights.zeros,
        None if conv.bias is None else conv.bias.detach().float(),
        conv.stride,
        conv.padding,
        conv.dilation,
        conv.groups,
        1.0,
        0,
        torch.float32,
        "swish",
        [],
        "",
    )


@dataclass(frozen=True, eq=False)
class _Weights:
    """Weights of a convolution, rounded, in oneDNN's order of memory; ``version`` tells what was rounded."""

    packed: torch.Tensor
    scales: torch.Tensor
    zeros: torch.Tensor
    version: tuple[int, int]


_packed: WeakKeyDictionary[nn.Conv2d, _Weights] = WeakKeyDictionary()


def _rounded(conv: nn.Conv2d) -> _Weights:
    weight = conv.weight.detach().float()
    counted = not conv.weight.is_inference()
    version = (conv.weight.data_ptr(), conv.weight._version) if counted else (0, 0)
    known = _packed.get(conv) if counted else None  # of tensors made in inference mode nobody counts changes
    if known is not None and known.version == version:
        return known
    scales = weight.abs().amax((1, 2, 3)).clamp_min(_LEAST) / _HIGHEST
    rounded = torch.round(weight / scales[:, None, None, None]).to(torch.int8)
    found = _Weights(
        packed=torch.ops.onednn.qconv_prepack(
            rounded, scales, 1.0, 1, conv.stride, conv.padding, conv.dilation, conv.groups, None
        ),
        scales=scales,
        zeros=torch.zeros(len(scales), dtype=torch.int32),
        version=version,
    )
    if counted:
        _packed[conv] = found
    return found
