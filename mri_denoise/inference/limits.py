"""Bound what a network is given, and fill what is missing in it.

A voxel far beyond the image's range (a hot pixel, a marker, a wrong scale) turns what a network sees around it into
nonsense. It holds no noise that could be removed, so it is left out and stays as it was.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from mri_denoise.inference.parts import slabs

LOW, HIGH = -2.0, 3.0  # of an image scaled to about [0, 1]
_FARTHEST = 5.0  # times the highest voxel: a pilot of the filter is no farther from 0
_FINITE = 2 / 3  # of the voxels around one, beyond which it is a hole in the image, and not a part of a mask


def without_extremes(volume: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Replace voxels far outside of the scale by the mean of the others around them.

    Args:
        volume: shape (X, Y, Z), scaled to about [0, 1].

    Returns:
        the volume within [:data:`LOW`, :data:`HIGH`], and where it was changed, both of the same shape.
    """
    extreme = (volume < LOW) | (volume > HIGH)
    if not extreme.any():
        return volume, extreme
    others = _count_around(~extreme)
    around = torch.where(others > 0, _mean_of_others(volume, extreme, others), volume.clamp(LOW, HIGH))
    return torch.where(extreme, around, volume), extreme


def without_missing(volume: torch.Tensor) -> torch.Tensor:
    """Replace NaN and infinity: single voxels by the mean of those around them, others by 0, as masks have it.

    A hole of 0 in tissue would pass for structure, and for noise.

    Args:
        volume: shape (X, Y, Z), any of which may be 1.

    Returns:
        same shape, finite.
    """
    filled = volume.clone()
    for part in slabs(volume):  # whole copies would be the peak of the memory that a large volume takes
        low, high = max(part.start - 1, 0), part.stop + 1
        around = volume[low:high]
        missing = ~around.isfinite()
        if not missing.any():
            continue
        others = _count_around(~missing)
        hole = missing & (others > _FINITE * _places(around.shape))
        whole = torch.where(missing, 0, around)
        if hole.any():
            whole = torch.where(hole, _mean_of_others(around, missing, others).nan_to_num(posinf=0, neginf=0), whole)
        filled[part] = whole[part.start - low :][: part.stop - part.start]
    return filled


def hold_near(result: torch.Tensor, volume: torch.Tensor) -> None:
    """Clamp what a network made of a volume: at a level far above it, that is anything, and would pass for signal.

    Args:
        result: shape (X, Y, Z). **Overwritten.**
        volume: what the network was given, of the same shape and scale.
    """
    low, high = (float(end) for end in volume.aminmax())
    most = _FARTHEST * max(-low, high)
    if math.isfinite(most):
        result.clamp_(-most, most)


def mean_around(volume: torch.Tensor) -> torch.Tensor:
    """Mean of each voxel and its neighbours, 3 x 3 x 3; voxels beyond the edge count as 0.

    Args:
        volume: shape (X, Y, Z), any of which may be 1: PyTorch's own padding needs 3.
    """
    return F.avg_pool3d(F.pad(volume[None, None], (1,) * 6), 3, stride=1)[0, 0]


def _mean_of_others(volume: torch.Tensor, gone: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Mean of the voxels around each that are not gone, of which there are so many; 0 where there are none."""
    return 27 * mean_around(torch.where(gone, 0, volume)) / others.clamp_min(1)


def _count_around(chosen: torch.Tensor) -> torch.Tensor:
    """How many of each voxel and its neighbours, 3 x 3 x 3, are chosen: whole numbers in float32."""
    return (27 * mean_around(chosen.float())).round_()


def _places(shape: torch.Size) -> torch.Tensor:
    """How many of each voxel and its neighbours lie in a volume of that shape."""
    first, second, third = (torch.arange(n).add(2).clamp_max(n) - torch.arange(n).sub(1).clamp_min(0) for n in shape)
    return first[:, None, None] * second[:, None] * third
