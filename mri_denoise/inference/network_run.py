"""Run a network over slices: in mixed precision, whole or in tiles, as many at a time as memory allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F

from mri_denoise.inference.air import denoise_boxed, find_boxes
from mri_denoise.inference.mixed_precision import MixedPrecisionInferer, piece_size
from mri_denoise.inference.slice_plan import NARROW, SliceStack
from mri_denoise.inference.tiling import denoise_in_tiles
from mri_denoise.runtime import end_if_told
from mri_denoise.threads import run_in_threads, threads

_FEATURES = 64  # feature maps of a slice that are in memory at a time


@dataclass(frozen=True, kw_only=True)
class NetworkRun:
    """A network and how it goes over slices.

    Args:
        network: maps (N, C, H, W) to (N, 1, H, W).
        inferer: runs it on a batch in mixed precision.
        tile: longest side of a slice in pixels; larger slices are processed in tiles.
        batch_size: slices at a time on the CPU, as :class:`~mri_denoise.inference.slices.SliceDenoiseInferer` has it.
        least_side: pixels; smaller slices get a margin of zeros.
        args: more positional arguments of the network.
        kwargs: more keyword arguments of the network.
    """

    network: Callable[..., torch.Tensor]
    inferer: MixedPrecisionInferer
    tile: int
    batch_size: int
    least_side: int = 1
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """Run the network: shape (N, C, H, W) to (N, 1, H, W), float32."""
        if max(batch.shape[2:]) > self.tile:
            # One by one: what tiles share is of one slice. In integers each tile would be rounded by its own range
            exact = MixedPrecisionInferer("float32") if self.inferer.integers else self.inferer
            run = partial(denoise_in_tiles, partial(self._whole, exact), self.network, tile=self.tile)
            return torch.cat([run(image) for image in batch.split(1)])
        height, width = batch.shape[2:]
        air = F.pad(batch, (0, max(self.least_side - width, 0), 0, max(self.least_side - height, 0)))
        return self._whole(self.inferer, air)[:, :, :height, :width]

    def _whole(self, inferer: MixedPrecisionInferer, batch: torch.Tensor) -> torch.Tensor:
        return MixedPrecisionInferer.__call__(inferer, batch, self.network, *self.args, **self.kwargs)

    def denoise(self, stack: SliceStack) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Denoise the slices of a stack, fewer at a time if memory runs out; strips too narrow for a network stay.

        Yields:
            the numbers of some slices, shape (n,), and the slices, shape (n, H, W).
        """
        todo = torch.arange(len(stack.slices))
        if min(stack.slices.shape[1:]) < NARROW:
            yield todo, stack.slices
            return
        size, piece = _fit_batch(self.batch_size, stack.slices), piece_size(stack.slices)
        whole = stack.slices.device.type != "cpu" or max(stack.slices.shape[1:]) > self.tile
        boxes = None if whole else find_boxes(stack, piece)
        while len(todo):
            end_if_told()
            numbers = todo[:size]
            try:
                if boxes is None:
                    slices = self(stack.batch(numbers))
                else:
                    slices = torch.cat(run_in_threads(partial(denoise_boxed, stack, self, boxes), numbers.split(piece)))
            except torch.OutOfMemoryError:
                if len(numbers) == 1:
                    raise
                size = len(numbers) // 2
                continue
            yield numbers, slices[:, 0]
            todo = todo[size:]


def _fit_batch(wanted: int, slices: torch.Tensor) -> int:
    """How many of the slices, shape (N, H, W), are denoised at a time."""
    pixels = slices.shape[1] * slices.shape[2]
    if slices.device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(slices.device)  # half of it is left to others
        return max(1, min(16 * wanted, free // 2 // (pixels * _FEATURES * 4)))
    piece = piece_size(slices)  # always whole ones, so that results do not depend on the number of threads
    return piece * max(1, min(max(-(-wanted // piece), threads()), 4 * wanted * 256**2 // (piece * pixels)))
