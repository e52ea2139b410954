"""Find the air around a head, which a network need not see.

Far from any signal a network of Rician noise gives next to nothing, and the same everywhere. So slices are cut down to
a box around their signal, with a margin that the network sees as well, and the rest gets the mean of what the network
gives at the edges of the box.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from mri_denoise.inference.slice_plan import SliceStack
from mri_denoise.threads import run_in_threads

MARGIN = 24  # pixels of air around the signal that a network sees: what lies beyond changes it by 0.01 sigma
_BLOCK = 16  # pixels of a block's edge; a multiple of the network's pooling factor, as is the margin
_SIGNAL = 1.5  # sigma: mean of a block that holds signal; that of Rician noise alone is 1.25 with an error of 0.04
_RUN = 8  # slices, at least, that are cut down to the same box: for every size oneDNN prepares each layer anew
_RIM = 8  # pixels at an edge of a box that tell the level of the air


@dataclass(frozen=True, kw_only=True)
class Box:
    """A part of a slice.

    Args:
        rows: along its first axis.
        columns: along its second axis.
        shape: (H, W) of the slice.
    """

    rows: slice
    columns: slice
    shape: tuple[int, int]

    def cut(self, slices: torch.Tensor) -> torch.Tensor:
        """Cut slices, shape (..., H, W), down to the box."""
        return slices[..., self.rows, self.columns]

    def fill(self, inside: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """Put a box back into slices, with the air around it at the level of the box's rim.

        Args:
            inside: what a network made of the box, shape (N, 1, h, w).
            sigma: level of the noise, shape (N, 1, H, W).

        Returns:
            shape (N, 1, H, W).
        """
        if tuple(inside.shape[2:]) == self.shape:
            return inside
        height, width = self.shape
        rim = torch.zeros(inside.shape[2:], dtype=torch.bool, device=inside.device)
        rim[:_RIM] |= self.rows.start > 0
        rim[-_RIM:] |= self.rows.stop < height
        rim[:, :_RIM] |= self.columns.start > 0
        rim[:, -_RIM:] |= self.columns.stop < width
        level = [values[..., rim].sum(-1) for values in (inside, self.cut(sigma))]
        slices = sigma * (level[0] / level[1].clamp_min(1e-12))[..., None, None]
        slices[..., self.rows, self.columns] = inside
        return slices


def signal_box(slices: torch.Tensor, sigma: torch.Tensor) -> Box:
    """Find the box that holds the signal of some slices.

    Args:
        slices: magnitudes, shape (N, H, W).
        sigma: level of the noise, a scalar or shape (N, H, W).

    Returns:
        one box for all, the margin included; whole slices if they hold no signal.
    """
    height, width = slices.shape[1:]
    level = sigma if sigma.ndim == 0 else _block_means(sigma)
    signal = (_block_means(slices) > _SIGNAL * level).any(0)
    spans = []
    for length, found in ((height, signal.any(1)), (width, signal.any(0))):
        blocks = found.nonzero()
        low, high = (int(blocks[0]), int(blocks[-1]) + 1) if len(blocks) else (0, len(found))
        spans.append(slice(max(low * _BLOCK - MARGIN, 0), min(high * _BLOCK + MARGIN, length)))
    return Box(rows=spans[0], columns=spans[1], shape=(height, width))


def find_boxes(stack: SliceStack, piece: int) -> list[Box] | None:
    """Find the box of each slice of a stack; slices that go through a network together have the same one.

    Args:
        stack: of the slices.
        piece: how many slices go through the network together.

    Returns:
        the boxes; None if there is no noise level to tell air by.
    """
    if stack.sigma is None:
        return None
    reach = stack.num_slices // 2 if stack.contiguous else 0
    sigma = stack.sigma

    def find(numbers: torch.Tensor) -> list[Box]:
        seen = slice(max(int(numbers[0]) - reach, 0), int(numbers[-1]) + 1 + reach)
        return [signal_box(stack.slices[seen], sigma if sigma.ndim == 0 else sigma[seen])] * len(numbers)

    runs = torch.arange(len(stack.slices)).split(-(-_RUN // piece) * piece)
    return [box for boxes in run_in_threads(find, runs) for box in boxes]


def denoise_boxed(
    stack: SliceStack, run: Callable[[torch.Tensor], torch.Tensor], boxes: list[Box], numbers: torch.Tensor
) -> torch.Tensor:
    """Denoise some slices of a stack that have the same box.

    Args:
        stack: of the slices.
        run: the network.
        boxes: of :func:`find_boxes`.
        numbers: of the slices, shape (n,).

    Returns:
        shape (n, 1, H, W).
    """
    box, batch = boxes[int(numbers[0])], stack.batch(numbers)
    return box.fill(run(box.cut(batch)), batch[:, -1:])


def _block_means(slices: torch.Tensor) -> torch.Tensor:
    """Means of square blocks, shape (N, H, W) to (N, blocks, blocks); those at the end are smaller."""
    return F.avg_pool2d(slices[:, None], _BLOCK, ceil_mode=True, count_include_pad=False)[:, 0]
