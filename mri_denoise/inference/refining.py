"""Refine the result of the collaborative filter by a second, small network, slice by slice."""

from __future__ import annotations

from collections.abc import Callable

import torch

from mri_denoise.inference.air import signal_box
from mri_denoise.inference.slice_plan import SliceStack
from mri_denoise.runtime import end_if_told


def refine_slices(
    filtered: torch.Tensor,
    noisy: torch.Tensor,
    pilot: torch.Tensor,
    sigma: torch.Tensor,
    refine: Callable[[torch.Tensor], torch.Tensor],
    *,
    axis: int,
    num_slices: int,
    contiguous: bool = True,
    batch_size: int = 8,
) -> None:
    """Refine a volume. Air around the head stays as the filter left it.

    Args:
        filtered: result of the filter, shape (X, Y, Z), scaled to about [0, 1]. **Overwritten** by the result.
        noisy: magnitudes, of the same shape and scale.
        pilot: what the filter had as its pilot, of the same shape and scale.
        sigma: standard deviation of the noise on the same scale: a scalar, or one value for each voxel.
        refine: runs :class:`~mri_denoise.networks.refine.RefineNet` on a batch, (N, C, H, W) to (N, 1, H, W).
        axis: the axis across the slices, 0, 1 or 2.
        num_slices: odd number of slices that the network sees.
        contiguous: whether a slice has its neighbours as context, or itself in their place.
        batch_size: slices at a time, at least ``num_slices // 2``.
    """
    results = filtered.movedim(axis, 0)
    level = sigma if sigma.ndim == 0 else sigma.movedim(axis, 0)
    stacks = [
        SliceStack(slices=volume.movedim(axis, 0), sigma=noise, num_slices=count, contiguous=contiguous)
        for volume, noise, count in ((filtered, None, num_slices), (noisy, None, num_slices), (pilot, level, 1))
    ]
    ready: tuple[torch.Tensor, slice, slice, torch.Tensor] | None = None
    for numbers in torch.arange(len(results)).split(max(batch_size, num_slices // 2, 1)):
        end_if_told()
        box = signal_box(noisy.movedim(axis, 0)[numbers], level if level.ndim == 0 else level[numbers])
        batch = torch.cat([box.cut(stack.batch(numbers)) for stack in stacks], dim=1)
        # slices are overwritten one batch later, when the next one has its neighbours
        _write(results, ready)
        ready = numbers, box.rows, box.columns, refine(batch)[:, 0]
    _write(results, ready)


def _write(results: torch.Tensor, ready: tuple[torch.Tensor, slice, slice, torch.Tensor] | None) -> None:
    """Put refined boxes into their slices."""
    if ready is not None:
        numbers, rows, columns, inside = ready
        results[int(numbers[0]) : int(numbers[-1]) + 1, rows, columns] = inside
