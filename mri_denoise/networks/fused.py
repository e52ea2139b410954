"""Fuse convolutions with the operation that follows them, by oneDNN, for inference on a CPU.

In inference on a CPU, activations and sums move as much memory as the convolutions of a narrow network. oneDNN applies
them to a block of the result while it is in the cache. PyTorch's compiler uses the same operators; called directly,
they need no compiler and no time to compile.
"""

from __future__ import annotations

import platform
from functools import cache

import torch
from torch import nn
from torch.nn import functional

from mri_denoise.networks import integers


def can_fuse(x: torch.Tensor) -> bool:
    """Tell whether fused operators may replace modules for this input, and overwrite intermediate results.

    They may in two dimensions on a CPU, in types that are :func:`supported`, also by autocast. They may not if
    gradients are needed, or if the network is being traced, exported or compiled: an export must see plain operators.

    Args:
        x: the input of a module, shape (N, C, ...).
    """
    if x.device.type != "cpu" or x.ndim != 4 or torch.is_grad_enabled():
        return False
    if torch.jit.is_tracing() or torch.compiler.is_compiling() or not torch.backends.mkldnn.enabled:
        return False
    return supported(_dtype(x))


@cache
def supported(dtype: torch.dtype) -> bool:
    """Tell whether oneDNN has fast fused convolutions of this type on this machine: x86 only, bfloat16 from AVX-512 on.

    On other machines they may be missing, or fall back to slow reference code where plain convolutions do not.
    """
    if platform.machine() not in ("x86_64", "AMD64") or not torch.backends.mkldnn.is_available():
        return False
    return dtype == torch.float32 or (dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def convolve_silu(conv: nn.Conv2d, x: torch.Tensor, *, exact: bool = False) -> torch.Tensor:
    """Compute ``silu(conv(x))``: shape (N, C, H, W) in and out.

    Args:
        conv: the convolution.
        x: its input.
        exact: whether it may not be computed in integers, where that is wanted (:mod:`mri_denoise.networks.integers`).
    """
    if not exact and integers.wanted() and _dtype(x) == torch.float32:
        return integers.convolve_silu(conv, x)
    inputs, weight, bias = _cast(conv, x)
    return torch.ops.mkldnn._convolution_pointwise(
        inputs, weight, bias, conv.padding, conv.stride, conv.dilation, conv.groups, "swish", [], ""
    )


def convolve_add(conv: nn.Conv2d, x: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Compute ``conv(x) + other``: shape (N, C, H, W) in and out."""
    inputs, weight, bias = _cast(conv, x)
    return torch.ops.mkldnn._convolution_pointwise.binary(
        inputs, other, weight, bias, conv.padding, conv.stride, conv.dilation, conv.groups, "add", 1.0, None, [], None
    )


def weigh(x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Compute ``x * weights``; the result overwrites ``x`` where :func:`can_fuse` allows it."""
    if torch.jit.is_scripting():
        x = x * weights
    else:
        x = x.mul_(weights) if can_fuse(x) and x.dtype == weights.dtype else x * weights
    return x


def largest(x: torch.Tensor, dims: list[int]) -> torch.Tensor:
    """Compute the maximum over the last dimensions, which stay with a length of 1.

    Where :func:`can_fuse` allows it, max-pooling finds it, in a tenth of the time for bfloat16.

    Args:
        x: shape (N, C, ...).
        dims: all dimensions after the second.
    """
    if torch.jit.is_scripting():
        y = x.amax(dim=dims, keepdim=True)
    else:
        y = functional.adaptive_max_pool2d(x, 1) if can_fuse(x) else x.amax(dim=dims, keepdim=True)
    return y


def _dtype(x: torch.Tensor) -> torch.dtype:
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype


def _cast(conv: nn.Conv2d, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Cast as autocast would, which does not know these operators, to the layout that is faster."""
    dtype = _dtype(x)
    bias = None if conv.bias is None else conv.bias.to(dtype)
    return x.to(dtype, memory_format=torch.channels_last), conv.weight.to(dtype), bias
