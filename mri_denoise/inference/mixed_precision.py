"""An inferer that runs a network in mixed precision on any device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.data import MetaTensor
from monai.inferers import Inferer

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
CPU_PIXELS = 2 * 256 * 256  # of all images of a pass in float32; twice as many in types of 16 bits


class MixedPrecisionInferer(Inferer):
    """Run the network under autocast, with 2D images in ``channels_last`` order.

    MONAI's engines switch mixed precision on for CUDA alone; this inferer does it on the device of the input.

    Args:
        precision: ``"float32"``, ``"bfloat16"`` or ``"float16"``.

    Raises:
        ValueError: if the precision is unknown.
    """

    def __init__(self, precision: str = "bfloat16") -> None:
        super().__init__()
        if precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}.")
        self.dtype = PRECISIONS[precision]

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
        """
        plain = inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs
        if plain.ndim == 4:
            plain = plain.contiguous(memory_format=torch.channels_last)
        with torch.autocast(plain.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32):
            pieces = [network(piece, *args, **kwargs).float() for piece in plain.split(self._piece(plain))]
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces)

    def _piece(self, batch: torch.Tensor) -> int:
        """How many images the network takes at once: on a CPU in inference, as many as memory is fast for.

        The C library allocates blocks of 32 MiB and more as new pages, which the system has to clear at every layer.
        That took a quarter of the time for 8 slices of 256 x 256 in float32; a layer of 2 slices takes 16 MiB.
        """
        if batch.device.type != "cpu" or batch.ndim != 4 or torch.is_grad_enabled():
            return max(len(batch), 1)
        return max(CPU_PIXELS * 4 // (self.dtype.itemsize * batch.shape[2] * batch.shape[3]), 1)
