"""Bound what a network is given.

A voxel far beyond the image's range (a hot pixel, a marker, a wrong scale) turns what a network sees around it into
nonsense. It holds no noise that could be removed, so it is left out and stays as it was.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

LOW, HIGH = -2.0, 3.0  # of an image scaled to about [0, 1]


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
    inside = torch.where(extreme, 0, volume)
    sums, counts = (F.avg_pool3d(v[None, None], 3, stride=1, padding=1)[0, 0] for v in (inside, (~extreme).to(volume)))
    around = torch.where(counts > 0, sums / counts.clamp_min(1 / 27), volume.clamp(LOW, HIGH))
    return torch.where(extreme, around, volume), extreme
