"""An inferer that runs a network in mixed precision on any device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.data import MetaTensor
from monai.inferers import Inferer

from mri_denoise.networks import integers
from mri_denoise.threads import run_in_threads

# what is stored between two layers; of "int8" (mri_denoise.networks.integers) that is float32
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "int8": torch.float32}
_PIECE = 256 * 256  # pixels: fewer take longer each


class MixedPrecisionInferer(Inferer):
    """Run the network under autocast.

    MONAI's engines switch mixed precision on for CUDA alone; this inferer does it on the device of the input.

    In inference on a CPU each image (several smaller than 256 x 256 pixels: :func:`piece_size`) goes through the
    network in one thread, and as many at a time as PyTorch has threads. So the result has the same bits for any number
    of them (:mod:`mri_denoise.threads`), and no layer is so large that the system has to clear new pages.

    Args:
        precision: ``"float32"``, ``"bfloat16"``, ``"float16"`` or, on a CPU, ``"int8"``, which convolves in integers
            (:mod:`mri_denoise.networks.integers`).

    Raises:
        ValueError: if the precision is unknown, or the processor has none like it.
    """

    def __init__(self, precision: str = "bfloat16") -> None:
        super().__init__()
        if precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}.")
        if precision == "int8" and not integers.supported():
            raise ValueError("precision int8 needs an x86 processor with AVX2; use float32.")
        self.dtype, self.integers = PRECISIONS[precision], precision == "int8"

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Run the network.

        Args:
            inputs: shape (N, C, H, W[, D]).
            network: what is run; it takes and returns batches.
            args: more positional arguments of the network.
            kwargs: more keyword arguments of the network.

        Returns:
            the network's output in float32.

        Raises:
            ValueError: for ``"int8"`` on another device than a CPU.
        """
        plain = inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs
        if self.integers and plain.device.type != "cpu":
            raise ValueError(f"precision int8 is one of CPUs, but the image is on {plain.device}; use bfloat16.")

        def run(piece: torch.Tensor) -> torch.Tensor:
            mixed = torch.autocast(plain.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32)
            with mixed, integers.in_integers(self.integers):
                return network(piece, *args, **kwargs).float()

        if plain.device.type != "cpu" or plain.ndim != 4 or torch.is_grad_enabled():
            return run(plain)
        return torch.cat(run_in_threads(run, plain.split(piece_size(plain))))


def piece_size(images: torch.Tensor) -> int:
    """How many images a CPU takes through a network at once: one, or several small ones, whatever the machine.

    Args:
        images: shape (..., H, W).
    """
    return max(_PIECE // (images.shape[-2] * images.shape[-1]), 1)
