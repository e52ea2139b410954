"""Process slices that are too large for one pass through the network, in overlapping tiles, with the same result.

Convolutions have a limited receptive field. Where tiles overlap by its reach (:data:`HALO`), the inner part of each
tile is what the whole slice would have given, and there is no seam to blend. Channel attention, however, pools over the
whole slice. So its averages and maxima are first gathered over the inner parts of all tiles, one attention module after
the other, because each depends on those before it; a last pass then uses them. The results differ by the rounding of
sums alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from mri_denoise.networks.blocks import ChannelAttention

HALO = 96  # pixels; the reach of HMAD-Net is 84 with four stages, 80 with three stages and pixel-unshuffle
_STEP = 32  # tiles begin at multiples, so that pooling windows fall as in the whole slice


@dataclass(frozen=True, kw_only=True)
class Span:
    """A tile along one axis.

    Args:
        start: first pixel of the tile.
        inner: first pixel of the part that is kept.
        outer: end of the part that is kept.
        stop: end of the tile.
        last: whether the part that is kept ends with the slice.
    """

    start: int
    inner: int
    outer: int
    stop: int
    last: bool

    @property
    def tile(self) -> slice:
        """Where the tile is in the slice."""
        return slice(self.start, self.stop)

    @property
    def kept(self) -> slice:
        """Where the tile's result goes in the slice."""
        return slice(self.inner, self.outer)

    def inside(self, length: int | None = None) -> slice:
        """Give the part that is kept, as an index into the tile.

        Args:
            length: positions of a feature map of the tile, into which the index goes then.
        """
        size = self.stop - self.start
        scale = 1 if length is None else -(-size // length)
        # padding at the end of the slice counts as in the whole slice
        stop = None if self.last and length is not None else (self.outer - self.start) // scale
        return slice((self.inner - self.start) // scale, stop)


def spans(length: int, tile: int) -> list[Span]:
    """Divide an axis into tiles of nearly equal size.

    Args:
        length: pixels of the axis.
        tile: pixels of a tile at most, at least 256.
    """
    if length <= tile:
        return [Span(start=0, inner=0, outer=length, stop=length, last=True)]
    room = max((tile - 2 * HALO) // _STEP * _STEP, 2 * _STEP)
    count = -(-length // room)
    core = -(-length // (count * _STEP)) * _STEP
    edges = [*range(0, length, core), length]
    return [
        Span(start=max(low - HALO, 0), inner=low, outer=high, stop=min(high + HALO, length), last=high == length)
        for low, high in zip(edges[:-1], edges[1:], strict=True)
    ]


def denoise_in_tiles(
    run: Callable[[torch.Tensor], torch.Tensor], network: Callable[..., torch.Tensor], batch: torch.Tensor, tile: int
) -> torch.Tensor:
    """Run a network over tiles of slices.

    Args:
        run: runs ``network`` on a batch: (N, C, H, W) to (N, 1, H, W).
        network: its channel attention is shared between tiles; everything else in it must be local.
        batch: shape (N, C, H, W).
        tile: longest side of a tile in pixels, at least 256.

    Returns:
        float32, shape (N, 1, H, W), as ``run(batch)`` would give.
    """
    grid = [(y, x) for y in spans(batch.shape[2], tile) for x in spans(batch.shape[3], tile)]
    sharing = _Sharing()
    with ExitStack() as stack:
        for module in network.modules() if isinstance(network, nn.Module) else ():
            if isinstance(module, ChannelAttention):
                stack.callback(module.register_forward_pre_hook(sharing.gather).remove)
                stack.callback(module.squeeze.register_forward_pre_hook(partial(sharing.hand_out, module)).remove)
        while True:
            out = batch.new_empty(batch.shape[0], 1, *batch.shape[2:], dtype=torch.float32)
            for y, x, result in _results(run, batch, grid, sharing):
                out[:, :, y.kept, x.kept] = result[:, :, y.inside(), x.inside()]
            if not sharing.finish_pass():
                return out


def _results(
    run: Callable[[torch.Tensor], torch.Tensor], batch: torch.Tensor, grid: list[tuple[Span, Span]], sharing: _Sharing
) -> Iterator[tuple[Span, Span, torch.Tensor]]:
    """The result of each tile, except for tiles that stopped at an attention module to gather."""
    for y, x in grid:
        sharing.place = (y, x)
        try:
            result = run(batch[:, :, y.tile, x.tile])
        except _Gathered:
            continue
        yield y, x, result


class _Gathered(Exception):
    """A tile has reached the attention module that the pass gathers for."""


class _Sharing:
    """Pooled features of the whole slice, for each attention module that was reached so far."""

    def __init__(self) -> None:
        self.place: tuple[Span, Span] | None = None
        self._known: dict[nn.Module, torch.Tensor] = {}
        self._module: nn.Module | None = None  # the module that the present pass gathers for
        self._sum: torch.Tensor | float = 0.0
        self._count = 0
        self._largest: torch.Tensor | None = None

    def gather(self, module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        """Add this tile's features before attention and stop, unless those of the whole slice are known."""
        if module in self._known or self.place is None:
            return
        features = inputs[0]
        y, x = self.place
        kept = features[:, :, y.inside(features.shape[2]), x.inside(features.shape[3])]
        largest = kept.amax(dim=(2, 3), keepdim=True)
        self._module = module
        self._sum = self._sum + kept.sum(dim=(2, 3), keepdim=True, dtype=torch.float32)
        self._count += kept.shape[2] * kept.shape[3]
        self._largest = largest if self._largest is None else torch.maximum(self._largest, largest)
        raise _Gathered

    def hand_out(
        self, module: nn.Module, squeeze: nn.Module, inputs: tuple[torch.Tensor, ...]
    ) -> tuple[torch.Tensor, ...]:
        """Replace the tile's pooled features, within attention, by those of the whole slice."""
        return (self._known[module].to(inputs[0].dtype),)

    def finish_pass(self) -> bool:
        """Keep what was gathered. Returns whether anything was, so that another pass is needed."""
        if self._module is None or self._largest is None:
            return False
        mean = torch.as_tensor(self._sum) / self._count
        self._known[self._module] = torch.cat((mean, self._largest.float()), dim=0)
        self._module, self._sum, self._count, self._largest = None, 0.0, 0, None
        return True
