"""Find the noise of volumes as an inferer takes it, for programs that do not give it."""

from __future__ import annotations

import numpy as np
import torch

from mri_denoise.noise.series import find_series_noise
from mri_denoise.noise.zero_level import ZeroLevel


def find_levels(volumes: torch.Tensor, slice_axis: int) -> tuple[torch.Tensor, ...]:
    """Find the noise of the volumes of a series.

    Args:
        volumes: shape (T, X, Y, Z), any unit, counted from 0.
        slice_axis: the axis across the slices.

    Returns:
        level and floor, both of shape (1, T) or (1, T, X, Y, Z); coils, shape (1, T); correlation, shape (1, 3, lags):
        see :class:`~mri_denoise.inference.slices.SliceDenoiseInferer`.
    """
    models = find_series_noise(volumes.cpu().numpy(), slice_axis=slice_axis, zeros=[ZeroLevel()] * len(volumes))
    shape = tuple(volumes.shape[1:])

    def stacked(values: list[np.ndarray]) -> torch.Tensor:
        maps = any(value.ndim for value in values)
        every = [np.broadcast_to(value, shape) if maps else value for value in values]
        return torch.from_numpy(np.stack(every).astype(np.float32))[None].to(volumes.device)

    return (
        stacked([np.asarray(model.sigma) for model in models]),
        stacked([np.asarray(model.floor_ratio) for model in models]),
        torch.tensor([[model.coils for model in models]]),
        torch.from_numpy(np.mean([model.correlation for model in models], axis=0))[None],
    )
