"""Plan how a volume is cut into slices: across which axes, which slices are worth computing, with which neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from mri_denoise.inference.collaborative_filter import BlockShape
from mri_denoise.volume import find_slice_axis, is_isotropic, suits_three_planes

NARROW = 4  # pixels: slices with a shorter side tell nothing


def gather_slices(stack: torch.Tensor, numbers: torch.Tensor, num_slices: int) -> torch.Tensor:
    """Gather slices with their neighbours as channels.

    Args:
        stack: all slices, shape (N, H, W).
        numbers: of the slices that are wanted, shape (n,).
        num_slices: odd number of channels; neighbours beyond the first and the last slice repeat these.

    Returns:
        shape (n, ``num_slices``, H, W).

    Examples:
        >>> stack = torch.arange(4)[:, None, None]
        >>> gather_slices(stack, torch.tensor([0, 2]), 3).squeeze().tolist()
        [[0, 0, 1], [1, 2, 3]]
    """
    offsets = torch.arange(num_slices) - num_slices // 2
    index = (numbers[:, None] + offsets).clamp(0, len(stack) - 1)
    return stack[index.to(stack.device)]


@dataclass(frozen=True, kw_only=True)
class SliceStack:
    """The slices of a volume across one axis, as a network takes them.

    Args:
        slices: shape (N, H, W), a view of the volume.
        sigma: noise level on the same scale, a scalar or shape (N, H, W); None adds no noise map.
        num_slices: odd number of slices that the network takes.
        contiguous: whether the network sees a slice's neighbours, or the slice itself in their place.
    """

    slices: torch.Tensor
    sigma: torch.Tensor | None
    num_slices: int
    contiguous: bool

    def batch(self, numbers: torch.Tensor) -> torch.Tensor:
        """Gather the network's input for some slices.

        Args:
            numbers: of the slices, shape (n,).

        Returns:
            shape (n, channels, H, W): the slices with their neighbours and then, if there is one, the noise map.
        """
        batch = gather_slices(self.slices, numbers, self.num_slices if self.contiguous else 1)
        batch = batch.expand(-1, self.num_slices, -1, -1)
        if self.sigma is None:
            return batch
        if self.sigma.ndim == 0:
            maps = self.sigma.expand(len(numbers), *self.slices.shape[1:])
        else:
            maps = self.sigma[numbers.to(self.sigma.device)]
        return torch.cat((batch, maps[:, None]), dim=1)


@dataclass(frozen=True, kw_only=True)
class SlicePlan:
    """How volumes are cut.

    Args:
        slice_axis: the axis across the slices as they were acquired, 0, 1 or 2.
        axes: the axes across which the volume is cut: ``slice_axis``, or all three for an average.
        contiguous: whether a slice has its neighbours as context.
        blocks: the shape of the blocks that the collaborative filter takes.
    """

    slice_axis: int
    axes: tuple[int, ...]
    contiguous: bool
    blocks: BlockShape

    def stacks(
        self, volume: torch.Tensor, sigma: torch.Tensor | None, num_slices: int
    ) -> Iterator[tuple[int, SliceStack]]:
        """Cut a volume across each of the axes.

        Args:
            volume: shape (X, Y, Z).
            sigma: noise level on the same scale, a scalar or the volume's shape; None adds no noise map.
            num_slices: odd number of slices that the network takes.

        Yields:
            an axis, and the slices across it.
        """
        for axis in self.axes:
            yield (
                axis,
                SliceStack(
                    slices=volume.movedim(axis, 0),
                    sigma=sigma if sigma is None or sigma.ndim == 0 else sigma.movedim(axis, 0),
                    num_slices=num_slices,
                    contiguous=self.contiguous,
                ),
            )


def plan_slices(
    shape: tuple[int, ...],
    affine: torch.Tensor | None,
    *,
    planes: int | str,
    slice_axis: int | None = None,
    contiguous: bool = True,
) -> SlicePlan:
    """Choose how a volume is cut.

    Args:
        shape: (X, Y, Z).
        affine: 4 x 4, voxel index to RAS+ millimetres; None counts as isotropic voxels.
        planes: 1, 3 or ``"auto"`` for 3 if slices across all axes look alike
            (:func:`~mri_denoise.volume.suits_three_planes`).
        slice_axis: the axis across the slices; by default affine and shape tell it
            (:func:`~mri_denoise.volume.find_slice_axis`).
        contiguous: whether neighbouring slices may serve as context for one another; if not, one plane is used.
    """
    if slice_axis is None:
        slice_axis = find_slice_axis(torch.eye(4) if affine is None else affine, shape)
    if planes == "auto":
        three = affine is not None and suits_three_planes(shape, affine)
    else:
        three = planes == 3 and min(shape) >= NARROW
    blocks: BlockShape = "cubes" if affine is None or is_isotropic(affine) else "plates"
    return SlicePlan(
        slice_axis=slice_axis,
        axes=(0, 1, 2) if three and contiguous else (slice_axis,),
        contiguous=contiguous,
        blocks=blocks if contiguous else "squares",
    )
