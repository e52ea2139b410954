"""Find the noise of the volumes of a series: one sequence and one receiver made them all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mri_denoise.noise.correlation import noise_correlation
from mri_denoise.noise.evidence import Source
from mri_denoise.noise.level import estimate_series
from mri_denoise.noise.model import NoiseModel, find_noise
from mri_denoise.noise.zero_level import ZeroLevel, find_zero


def find_series_noise(
    volumes: np.ndarray,
    *,
    slice_axis: int | None = None,
    zeros: Sequence[ZeroLevel] | None = None,
    as_map: bool = False,
) -> list[NoiseModel]:
    """Find the noise of each volume of a series.

    What several volumes tell better than one is measured on them together: the limit of the level
    (:func:`~mri_denoise.noise.level.estimate_series`), the correlation in air or by k-space, and whether the level is
    that of the air or of the tissue. If that changed from volume to volume, so would the level, and with it the signal.
    A volume whose level jumps between slices has that of its tissue in any case.
    Of a long series these are the volumes that are in memory at a time.

    Args:
        volumes: magnitudes, shape (T, X, Y, Z), any unit; NaN, infinity and masks are ignored.
        slice_axis: the axis across the slices; the shortest one by default.
        zeros: the value that each volume counts from (:func:`~mri_denoise.noise.zero_level.find_zero` by default).
        as_map: whether each level is a map in any case.

    Returns:
        T models (:class:`~mri_denoise.noise.model.NoiseModel`).

    Raises:
        ValueError: if the array does not have four axes.
    """
    if np.ndim(volumes) != 4:
        raise ValueError(f"a series has four axes, got an array of shape {np.shape(volumes)}.")
    axis = int(np.argmin(volumes.shape[1:])) if slice_axis is None else slice_axis
    zeros = [find_zero(volume) for volume in volumes] if zeros is None else zeros
    if len(volumes) == 1:  # it tells nothing better than the volume alone, which is measured in less time
        return [find_noise(volumes[0], slice_axis=axis, zero=zeros[0], as_map=as_map)]
    counted = counted_from_zero(volumes, zeros)
    levels = estimate_series(counted, slice_axis=axis)
    correlation = noise_correlation(counted, axis, levels)

    def find(number: int, source: Source | None = None) -> NoiseModel:
        return find_noise(
            volumes[number],
            slice_axis=axis,
            simple=levels[number],
            correlation=correlation,
            zero=zeros[number],
            as_map=as_map,
            source=source,
        )

    models = [find(number) for number in range(len(volumes))]
    found = [model.source for model in models if model.source != "none"]
    usual: Source = "air" if 2 * found.count("air") >= len(found) else "tissue"
    return [
        find(number, usual) if level.method == "background" and model.source not in ("none", usual) else model
        for number, (model, level) in enumerate(zip(models, levels, strict=True))
    ]


def counted_from_zero(volumes: np.ndarray, zeros: Sequence[ZeroLevel]) -> np.ndarray:
    """Count each volume of a series from its zero; voxels whose noise is not that of tissue become NaN.

    Args:
        volumes: shape (T, X, Y, Z).
        zeros: of each.

    Returns:
        the same shape; the argument itself if all count from 0.
    """
    if all(zero.usual for zero in zeros):
        return volumes
    return np.stack([zero.measurable(volume) for volume, zero in zip(volumes, zeros, strict=True)])
