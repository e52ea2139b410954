"""Two fits behind an estimate of noise: Rayleigh's law in the air, the spread of fine detail in the foreground."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mri_denoise.noise.blocks import Blocks, cut_blocks
from mri_denoise.noise.rician import (
    RAYLEIGH_MEAN,
    RAYLEIGH_STD,
    grey_step,
    koay_correction,
    rayleigh_distance,
    rayleigh_sigma,
)
from mri_denoise.noise.zero_filling import measured_grid

MAD_TO_STD = 1.4826


@dataclass(frozen=True)
class Samples:
    """The blocks of a volume that can be used; see :class:`~mri_denoise.noise.blocks.Blocks`.

    Args:
        values: (B, V) voxels.
        response: (B, V) high-pass response.
        activity: (B,) of the blocks' halves.
        position: (B, 2) in the slice.
    """

    values: np.ndarray
    response: np.ndarray
    activity: np.ndarray
    position: np.ndarray

    @classmethod
    def of(cls, blocks: Iterable[Blocks | None]) -> Samples | None:
        """What can be used of all blocks; None if that is nothing."""
        found = [b for b in blocks if b is not None and b.usable.any()]
        if not found:
            return None
        names = ("values", "response", "activity", "position")
        return cls(*(np.concatenate([getattr(b, name)[b.usable] for b in found]) for name in names))

    @cached_property
    def mean(self) -> np.ndarray:
        """(B,) mean of each block; by einsum, for reductions of short rows take several times as long."""
        return np.einsum("ij->i", self.values) * np.float32(1 / self.values.shape[1])

    @cached_property
    def power(self) -> np.ndarray:
        """(B,) mean square of each block."""
        return np.einsum("ij,ij->i", self.values, self.values) * np.float32(1 / self.values.shape[1])

    def foreground(self) -> Samples:
        """Blocks above half the mean signal of the brighter part, whatever the noise."""
        upper = self.mean[self.mean >= self.mean.mean()].mean()
        bright = self.mean >= min(upper / 2, upper)
        return Samples(*(a[bright] for a in (self.values, self.response, self.activity, self.position)))


def spread(response: np.ndarray) -> float:
    """Standard deviation of high-pass responses by their median absolute value."""
    return MAD_TO_STD * float(np.median(np.abs(response)))


def foreground_sigma(foreground: Samples) -> float:
    """Koay-corrected spread of the high-pass response in the least active blocks of the foreground."""
    sigma = 0.0
    for share in (0.1, 0.5):
        chosen = np.argsort(foreground.activity)[: max(60, int(share * len(foreground.activity)))]
        mean = foreground.mean[chosen]
        groups = np.array_split(np.argsort(mean), min(8, 1 + len(mean) // 40))
        spreads = np.array([spread(foreground.response[chosen[g]]) for g in groups])
        sigma = koay_correction(np.array([mean[g].mean() for g in groups]), spreads)
        if mean.mean() > 5 * sigma:
            break  # otherwise noise hides any texture, and more blocks are worth more than quieter ones
    return sigma


def interpolated_foreground_sigma(slices: np.ndarray, bands: Sequence[float]) -> float:
    """:func:`foreground_sigma` on the grid on which slices were measured; 0 where they were not interpolated.

    Args:
        slices: shape (X, Y, slices).
        bands: of :func:`~mri_denoise.noise.zero_filling.measured_bands`.
    """
    samples = Samples.of([cut_blocks(measured_grid(slices, bands))]) if min(bands) < 1 else None
    return 0.0 if samples is None else foreground_sigma(samples.foreground())


def background_sigma(samples: Samples, *, masked: bool) -> float | None:
    """Sigma of the darkest cluster of blocks, if it is large and follows Rayleigh's distribution; else None.

    Args:
        samples: of the whole volume.
        masked: whether much of it is exactly 0.
    """
    mean = samples.mean
    # loses digits where the mean is far above the spread, and there nobody asks for the spread
    std = np.sqrt(np.maximum(samples.power - mean * mean, 0))
    alike = mean[(mean > 0) & (std > 0.40 * mean) & (std < 0.66 * mean)]  # pure noise: 0.523, scattered
    if len(alike) < 20:
        return None
    logs = np.log(alike)
    count, bounds = np.histogram(logs, np.arange(logs.min() - 0.1, logs.max() + 0.2, 0.05))
    count = np.convolve(count, [1, 1, 1], "same")
    peak = int(np.argmax(count >= 0.3 * count.max()))
    while peak + 1 < len(count) and count[peak + 1] >= count[peak]:
        peak += 1
    centre = math.exp((bounds[peak] + bounds[peak + 1]) / 2)
    step = None  # the same wherever the centre moves to; finding it takes longer than all else
    for _ in range(4):
        dark = np.abs(mean - centre) < 0.1 * centre
        if dark.mean() < 0.02 or dark.sum() < 20:
            return None
        noise = samples.values[dark]
        step = grey_step(np.unique(noise)) if step is None else step
        sigma = rayleigh_sigma(noise, step)
        centre = RAYLEIGH_MEAN * sigma
    if sigma == 0 or rayleigh_distance(samples.values[dark], sigma) > 0.03:
        return None
    # Dark tissue inside a mask looks nearly like pure noise; but its high-pass spread is then less than Rayleigh's.
    measured = spread(samples.response[dark]) / RAYLEIGH_STD
    return None if measured > 1.1 * sigma or (masked and measured < 0.985 * sigma) else sigma
