"""The peak throughput of the machine: matrix products and convolutions, in GFLOP/s."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from mri_denoise.benchmarks.speed.timing import measure_in_turn
from mri_denoise.inference.mixed_precision import PRECISIONS

MATRIX = 2048
# images, channels, height and width: those of the networks compared, and wide ones that no U-Net of this size has
CONVOLUTIONS = ((8, 32, 256), (8, 64, 256), (8, 64, 128), (8, 128, 64), (8, 256, 32), (8, 256, 64))
QUICK_MATRIX, QUICK_CONVOLUTIONS = 256, ((2, 32, 32), (2, 64, 32))


@dataclass(frozen=True, kw_only=True)
class Peak:
    """The best throughput measured in one precision.

    Args:
        precision: name of the type.
        matrix_gflops: GFLOP/s of the product of two square matrices.
        convolution_gflops: GFLOP/s of the fastest 3x3 convolution with bias in ``channels_last`` order.
        convolution_shape: its images, channels and size.
        convolutions: GFLOP/s of each shape, as ``"8 x 64 x 128 x 128"``.
    """

    precision: str
    matrix_gflops: float
    convolution_gflops: float
    convolution_shape: str
    convolutions: dict[str, float]


def count_flops(function: Callable[[], object]) -> int:
    """Count the floating point operations of convolutions and matrix products in a call.

    A multiplication with its addition counts as two. Operations on single values (activations, sums, pooling) do not
    count. Gradients are on: without them, networks fuse operators that the counter does not know.

    Args:
        function: what is called; its tensors must not be made in inference mode.
    """
    with torch.inference_mode(False), torch.enable_grad(), FlopCounterMode(display=False) as counter:
        function()
    return int(counter.get_total_flops())


def measure_peaks(precisions: list[str], repetitions: int, quick: bool, device: str = "cpu") -> dict[str, Peak]:
    """Measure matrix products and convolutions in each precision.

    Args:
        precisions: ``"float32"``, ``"bfloat16"``, ``"float16"``.
        repetitions: of each; the fastest counts.
        quick: take small shapes, whose figures mean little.
        device: where to compute.

    Returns:
        the peak of each precision, by its name.
    """
    peaks = {}
    for precision in precisions:
        dtype = PRECISIONS[precision]
        matrix = _matrix(QUICK_MATRIX if quick else MATRIX, dtype, repetitions, device)
        each = {
            f"{n} x {c} x {size} x {size}": _convolution(n, c, size, dtype, repetitions, device)
            for n, c, size in (QUICK_CONVOLUTIONS if quick else CONVOLUTIONS)
        }
        best = max(each, key=lambda name: each[name])
        peaks[precision] = Peak(
            precision=precision,
            matrix_gflops=matrix,
            convolution_gflops=each[best],
            convolution_shape=best,
            convolutions=each,
        )
    return peaks


def _matrix(size: int, dtype: torch.dtype, repetitions: int, device: str) -> float:
    a, b = (torch.rand(size, size, device=device).to(dtype) for _ in range(2))
    return _gflops(lambda: a @ b, repetitions, device)


def _convolution(images: int, channels: int, size: int, dtype: torch.dtype, repetitions: int, device: str) -> float:
    x = torch.rand(images, channels, size, size, device=device).to(dtype, memory_format=torch.channels_last)
    weight = torch.rand(channels, channels, 3, 3, device=device).to(dtype, memory_format=torch.channels_last)
    bias = torch.rand(channels, device=device).to(dtype)
    return _gflops(lambda: F.conv2d(x, weight, bias, padding=1), repetitions, device)


def _gflops(function: Callable[[], object], repetitions: int, device: str) -> float:
    with torch.inference_mode():
        flops = count_flops(function)
        timing = measure_in_turn({"": function}, repetitions, device)[""]
    return flops / timing.least / 1e9
