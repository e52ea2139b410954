"""Two fits behind an estimate of noise: Rayleigh's distribution in the air, fine detail in the foreground."""

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
from mri_denoise.noise.zero_filling import undo_zero_filling

MAD_TO_STD = 1.4826  # standard deviation of a normal distribution by its median absolute deviation
_LEAST_AIR, _SURE_AIR = 20, 200  # blocks
_STILL, _NO_EDGES = 0.1, 0.25  # fractions: still blocks beside a frame, and blocks that are more than the edges
_FEW = 60  # blocks of foreground, below which the quiet ones cannot be chosen by their activity
_LEAST_QUIET = 6  # blocks of foreground, below which texture cannot be told from noise


@dataclass(frozen=True, kw_only=True)
class Samples:
    """The usable blocks of a volume; see :class:`~mri_denoise.noise.blocks.Blocks`.

    Args:
        values: (B, V) voxels.
        response: (B, V) high-pass response.
        activity: (B,) standard deviation of the means of the block's halves.
        position: (B, 2) place in the slice.
    """

    values: np.ndarray
    response: np.ndarray
    activity: np.ndarray
    position: np.ndarray

    @classmethod
    def of(cls, blocks: Iterable[Blocks | None]) -> Samples | None:
        """Collect the usable blocks of several parts of a volume; None if there are none."""
        found = [b for b in blocks if b is not None and b.usable.any()]
        if not found:
            return None
        return cls(
            values=np.concatenate([b.values[b.usable] for b in found]),
            response=np.concatenate([b.response[b.usable] for b in found]),
            activity=np.concatenate([b.activity[b.usable] for b in found]),
            position=np.concatenate([b.position[b.usable] for b in found]),
        )

    @cached_property
    def mean(self) -> np.ndarray:
        """(B,) mean of each block; by einsum, as NumPy's reductions of short rows take several times as long."""
        return np.einsum("ij->i", self.values) * np.float32(1 / self.values.shape[1])

    @cached_property
    def power(self) -> np.ndarray:
        """(B,) mean square of each block."""
        return np.einsum("ij,ij->i", self.values, self.values) * np.float32(1 / self.values.shape[1])

    def foreground(self) -> Samples:
        """Select the blocks above half the mean signal of the brighter blocks, at any noise level.

        The blocks of one value that is a frame around an image, as the page of a picture, are left out.
        """
        upper = self.mean[self.mean >= self.mean.mean()].mean()
        bright = self._chosen(self.mean >= min(upper / 2, upper))
        return bright._chosen(~bright._frame())

    def _chosen(self, which: np.ndarray) -> Samples:
        """The blocks that a boolean array of shape (B,) selects."""
        return Samples(
            values=self.values[which],
            response=self.response[which],
            activity=self.activity[which],
            position=self.position[which],
        )

    def _frame(self) -> np.ndarray:
        """The blocks of the one value that fills most still blocks, if nearly all others vary: boolean, shape (B,)."""
        still = np.ptp(self.values, axis=1) == 0
        if not still.any():
            return still
        levels, counts = np.unique(self.values[still, 0], return_counts=True)
        frame: np.ndarray = still & (self.values[:, 0] == levels[counts.argmax()])
        others = len(still) - np.count_nonzero(frame)
        # in an image without noise the tissues are still, too, and of one tissue alone the edges vary
        is_frame = others >= _NO_EDGES * len(still) and np.count_nonzero(still & ~frame) <= _STILL * others
        return frame if is_frame else np.zeros_like(still)


def robust_std(response: np.ndarray) -> float:
    """Estimate the standard deviation of high-pass responses from their median absolute value.

    Args:
        response: any shape, of median about 0.
    """
    return MAD_TO_STD * float(np.median(np.abs(response)))


def foreground_sigma(foreground: Samples) -> float:
    """Estimate sigma from the high-pass response in the least active blocks, with Koay's correction.

    Of few blocks, most may hold texture: the quietest quarter is taken. Of a handful nothing can be said.

    Args:
        foreground: blocks that hold signal.

    Returns:
        sigma, in the units of the blocks' values; 0 if there are fewer than 6 blocks.
    """
    if len(foreground.activity) < _LEAST_QUIET:
        return 0.0
    if len(foreground.activity) < _FEW:
        spreads = MAD_TO_STD * np.median(np.abs(foreground.response), axis=1)
        quiet = np.argsort(spreads)[: max(len(spreads) // 4, 2)]
        return koay_correction(foreground.mean[quiet], spreads[quiet])
    sigma = 0.0
    for fraction in (0.1, 0.5):
        chosen = np.argsort(foreground.activity)[: max(_FEW, int(fraction * len(foreground.activity)))]
        mean = foreground.mean[chosen]
        groups = np.array_split(np.argsort(mean), min(8, 1 + len(mean) // 40))
        spreads = np.array([robust_std(foreground.response[chosen[g]]) for g in groups])
        sigma = koay_correction(np.array([mean[g].mean() for g in groups]), spreads)
        if mean.mean() > 5 * sigma:
            break  # at a lower SNR noise hides the texture, and more blocks are worth more than quieter ones
    return sigma


def zero_filled_sigma(slices: np.ndarray, coverage: Sequence[float]) -> float:
    """Estimate sigma from the foreground on the acquired matrix (:func:`foreground_sigma`).

    Args:
        slices: shape (X, Y, slices).
        coverage: of :func:`~mri_denoise.noise.zero_filling.find_coverage`.

    Returns:
        sigma, in the units of the slices; 0 if they are not zero-filled.
    """
    samples = Samples.of([cut_blocks(undo_zero_filling(slices, coverage))]) if min(coverage) < 1 else None
    return 0.0 if samples is None else foreground_sigma(samples.foreground())


def background_sigma(samples: Samples, *, masked: bool) -> float | None:
    """Estimate sigma from the darkest cluster of blocks.

    Args:
        samples: of the whole volume.
        masked: whether much of the volume is exactly 0.

    Returns:
        sigma, in the units of the blocks' values; None if the cluster is small or does not follow Rayleigh's
        distribution.
    """
    mean = samples.mean
    # loses digits where the mean is far above the spread, where the spread is not used
    std = np.sqrt(np.maximum(samples.power - mean * mean, 0))
    noise_like = mean[(mean > 0) & (std > 0.40 * mean) & (std < 0.66 * mean)]  # std / mean of pure noise: 0.523
    if len(noise_like) < _LEAST_AIR:
        return None
    centre = _darkest_mode(noise_like)
    step = None  # the same for every centre; finding it takes longer than all else
    for _ in range(4):
        dark = np.abs(mean - centre) < 0.1 * centre
        if dark.mean() < 0.02 or dark.sum() < _LEAST_AIR:
            return None
        noise = samples.values[dark]
        step = grey_step(np.unique(noise)) if step is None else step
        sigma = rayleigh_sigma(noise, step)
        centre = RAYLEIGH_MEAN * sigma
    if sigma == 0 or rayleigh_distance(samples.values[dark], sigma) > 0.03:
        return None
    # Dark tissue inside a mask looks nearly like pure noise, but its high-pass response spreads less.
    measured = robust_std(samples.response[dark]) / RAYLEIGH_STD
    if measured > 1.1 * sigma or (masked and measured < 0.985 * sigma):
        return None
    # and so does that of a few blocks at the border of an object, in a crop
    return None if dark.sum() < _SURE_AIR and measured < 0.6 * sigma else sigma


def _darkest_mode(means: np.ndarray) -> float:
    """The first peak of the histogram of positive means, on a logarithmic scale."""
    logs = np.log(means)
    count, bounds = np.histogram(logs, np.arange(logs.min() - 0.1, logs.max() + 0.2, 0.05))
    count = np.convolve(count, [1, 1, 1], "same")
    peak = int(np.argmax(count >= 0.3 * count.max()))
    while peak + 1 < len(count) and count[peak + 1] >= count[peak]:
        peak += 1
    return math.exp((bounds[peak] + bounds[peak + 1]) / 2)
