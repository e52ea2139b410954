"""Find the noise of the volumes of a series: one sequence and one receiver made them all."""

from __future__ import annotations

import numpy as np

from mri_denoise.noise.correlation import noise_correlation
from mri_denoise.noise.level import estimate_series
from mri_denoise.noise.model import NoiseModel, find_noise


def find_series_noise(volumes: np.ndarray, *, slice_axis: int | None = None) -> list[NoiseModel]:
    """Find the noise of each volume of a series.

    What several volumes tell better than one is measured on them together: the limit of the level
    (:func:`~mri_denoise.noise.level.estimate_series`), and the correlation in air or by k-space.

    Args:
        volumes: magnitudes, shape (T, X, Y, Z), any unit; NaN, infinity and masks are ignored.
        slice_axis: the axis across the slices; the shortest one by default.

    Returns:
        T models (:class:`~mri_denoise.noise.model.NoiseModel`).

    Raises:
        ValueError: if the array does not have four axes.
    """
    if np.ndim(volumes) != 4:
        raise ValueError(f"a series has four axes, got an array of shape {np.shape(volumes)}.")
    axis = int(np.argmin(volumes.shape[1:])) if slice_axis is None else slice_axis
    levels = estimate_series(volumes, slice_axis=axis)
    correlation = noise_correlation(volumes, axis)
    return [
        find_noise(volume, slice_axis=axis, simple=level, correlation=correlation)
        for volume, level in zip(volumes, levels, strict=True)
    ]
