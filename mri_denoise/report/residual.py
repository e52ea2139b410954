"""What was removed, in numbers: how large it is, and how far it is from noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from mri_denoise.noise.rician import rice_moments

_BRIGHT = 0.12  # of the 99th percentile: air and bone are darker, tissue is brighter
_ABOVE_NOISE = 2.5  # sigma
_SMOOTHING = 1.5  # voxels: standard deviation of the filter that lets structure stand out
_REACH = 6  # voxels of that filter to each side
SPOT = 5.0  # standard deviations of smoothed noise: less than one voxel in a million of pure noise
_ALL = 0.97  # of the noise: beyond, what is left cannot be told


@dataclass(frozen=True, kw_only=True)
class Spot:
    """The place that stands out most.

    Args:
        voxel: of the turned array.
        height: in standard deviations of noise that is smoothed in the same way.
    """

    voxel: tuple[int, int, int]
    height: float


@dataclass(frozen=True, kw_only=True)
class Residual:
    """What was removed from the tissue.

    Args:
        signal: median of the result, counted from no signal, in the file's unit; None where no value means no signal.
        mean: of what was removed, in the file's unit.
        std: its standard deviation, likewise.
        changed: share of the tissue's voxels that differ at all.
        expected: what all noise of the recorded level would have, likewise; None where no level is known.
        strength: 0 to 1: how much of the noise was to be removed.
        image: correlation with the result, -1 to 1.
        edges: correlation of its magnitude with the gradient's magnitude in the result, -1 to 1.
        neighbours: correlation with the next voxel along each axis, shape (3,); 0 along an axis of one voxel.
        noise_neighbours: that of the input's noise, as far as it can be measured, shape (3,).
        kurtosis: excess over that of the normal distribution, 0 for noise.
        standing_out: share of the tissue where the smoothed residual is beyond 5 standard deviations of smoothed noise.
        spot: where it stands out most; None where nothing was removed.
    """

    signal: float | None
    mean: float
    std: float
    changed: float
    expected: float | None
    strength: float
    image: float
    edges: float
    neighbours: tuple[float, float, float]
    noise_neighbours: tuple[float, float, float]
    kurtosis: float
    standing_out: float
    spot: Spot | None

    @property
    def ratio(self) -> float | None:
        """``std`` by the part of ``expected`` that was to be removed: 1 if as much was removed as noise explains."""
        return self.std / (self.expected * self.strength) if self.expected and self.strength else None

    @property
    def snr_before(self) -> float | None:
        """Signal by noise before; None where no level is known."""
        return self.signal / self.expected if self.expected and self.signal is not None else None

    @property
    def snr_after(self) -> float | None:
        """Signal by the noise that is left, a lower bound; None where that cannot be told.

        The parts of noise add in squares, so what was removed in full strength, r of n, leaves sqrt(n^2 - r^2) at most
        (a denoiser that shrinks the noise leaves less). At the strength s, s r was removed, and
        sqrt(n^2 - r^2 (2 s - s^2)) is left.
        """
        if not self.expected or self.signal is None:
            return None
        if not self.strength:
            return self.snr_before
        full = self.std / self.strength
        if full > _ALL * self.expected:
            return None
        return self.signal / math.sqrt(self.expected**2 - full**2 * (2 * self.strength - self.strength**2))


def find_tissue(after: np.ndarray, sigma: float | None, *, picture: bool = False) -> np.ndarray:
    """Find the voxels whose noise is that of tissue and not of air.

    Args:
        after: the denoised volume, shape (X, Y, Z), finite, counted from no signal.
        sigma: of the noise, in the same unit.
        picture: whether it is a picture, of which everything counts.

    Returns:
        boolean, same shape; everything if nothing stands out.
    """
    bright = after[after > 0]
    if picture or not bright.size:
        return np.ones(after.shape, dtype=bool)
    tissue = after > max(_BRIGHT * float(np.percentile(bright, 99)), _ABOVE_NOISE * (sigma or 0.0))
    opened = ndimage.binary_opening(tissue, np.ones([3 if n > 8 else 1 for n in after.shape], dtype=bool))
    tissue = opened if opened.any() else tissue
    return tissue if tissue.any() else np.ones(after.shape, dtype=bool)


def measure_residual(
    before: np.ndarray,
    after: np.ndarray,
    tissue: np.ndarray,
    *,
    sigma: np.ndarray | float | None,
    strength: float,
    correlation: np.ndarray,
) -> Residual:
    """Measure what was removed.

    The mean that Rice's distribution adds to the signal is not counted as structure.

    Args:
        before: the input, shape (X, Y, Z), finite, counted from no signal.
        after: the result, likewise.
        tissue: boolean, same shape, true somewhere.
        sigma: of the noise in the same unit: a number or one for each voxel; None if it is not known.
        strength: 0 to 1: how much of the noise was to be removed.
        correlation: of the input's noise with its neighbours along each axis, shape (3, lags), 1 at lag 0.

    Examples:
        >>> clean = np.full((32, 32, 16), 100, dtype=np.float32)
        >>> noisy = clean + np.random.default_rng(0).normal(0, 5, clean.shape).astype(np.float32)
        >>> found = measure_residual(
        ...     noisy, clean, clean > 0, sigma=5.0, strength=1.0, correlation=np.eye(1, 5).repeat(3, axis=0)
        ... )
        >>> round(found.ratio, 1), found.standing_out
        (1.0, 0.0)
    """
    removed, expected = before - after, None
    plain_mean = float(removed[tissue].mean(dtype=np.float64))
    if sigma is not None and np.max(sigma) > 0:
        level = np.broadcast_to(np.asarray(sigma, dtype=np.float64), after.shape)[tissue].clip(1e-30)
        snr = (after[tissue] / level).clip(0, 100)
        mean, std = rice_moments(snr)
        removed[tissue] -= (strength * level * (mean - snr)).astype(np.float32)
        expected = float(np.sqrt(np.mean(np.square(level * std), dtype=np.float64)))
    inside = removed[tissue].astype(np.float64)
    spread = float(inside.std())
    level_of_removed = expected * strength if expected and strength else spread
    heights = _heights(removed, tissue, level_of_removed, correlation) if spread > 0 else None
    return Residual(
        signal=float(np.median(after[tissue])),
        mean=plain_mean,
        std=spread,
        changed=float(np.mean((before != after)[tissue])),
        expected=expected,
        strength=strength,
        image=_correlation(inside, after[tissue]),
        edges=_correlation(np.abs(inside), _gradient(after)[tissue]),
        neighbours=_neighbours(removed, tissue),
        noise_neighbours=(float(correlation[0, 1]), float(correlation[1, 1]), float(correlation[2, 1])),
        kurtosis=float(np.mean((inside - inside.mean()) ** 4) / spread**4 - 3) if spread > 0 else 0.0,
        standing_out=0.0 if heights is None else float(np.mean(heights[tissue] > SPOT)),
        spot=None if heights is None else _highest(heights),
    )


def _gradient(array: np.ndarray) -> np.ndarray:
    """Magnitude of the gradient a voxel, in units of the highest value, so that no square overflows."""
    array = array / np.float32(np.abs(array).max() or 1)
    power = np.zeros(array.shape, dtype=np.float32)
    for axis, length in enumerate(array.shape):
        if length > 1:
            power += np.square(np.gradient(array, axis=axis))
    return np.sqrt(power)


def _heights(removed: np.ndarray, tissue: np.ndarray, level: float, correlation: np.ndarray) -> np.ndarray:
    """The smoothed residual by the standard deviation of smoothed noise of that level; 0 outside the tissue."""
    smooth, weight = (
        np.where(tissue, array, np.float32(0)).astype(np.float32) for array in (removed, np.ones_like(removed))
    )
    gain, places = 1.0, np.arange(-_REACH, _REACH + 1)
    for axis, length in enumerate(removed.shape):
        if length <= 3:
            continue
        kernel = np.exp(-0.5 * np.square(places / _SMOOTHING))
        kernel /= kernel.sum()
        smooth, weight = (ndimage.correlate1d(array, kernel, axis, mode="constant") for array in (smooth, weight))
        row = np.pad(correlation[axis], (0, len(kernel)))
        gain *= float(kernel @ row[np.abs(places[:, None] - places)] @ kernel)
    # at the border of the tissue fewer voxels are averaged
    deviation = level * np.sqrt(gain * weight.clip(1e-6))
    return np.where(tissue & (weight > 0.25), np.abs(smooth) / deviation, np.float32(0))


def _highest(heights: np.ndarray) -> Spot:
    x, y, z = (int(i) for i in np.unravel_index(int(np.argmax(heights)), heights.shape))
    return Spot(voxel=(x, y, z), height=float(heights[x, y, z]))


def _neighbours(removed: np.ndarray, tissue: np.ndarray) -> tuple[float, float, float]:
    found = []
    for axis in range(3):
        both = np.moveaxis(tissue, axis, 0)[1:] & np.moveaxis(tissue, axis, 0)[:-1]
        here, there = np.moveaxis(removed, axis, 0)[1:], np.moveaxis(removed, axis, 0)[:-1]
        found.append(_correlation(here[both], there[both]) if both.any() else 0.0)
    return found[0], found[1], found[2]


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson's correlation, 0 where one of the two is constant."""
    a, b = (x.astype(np.float64) - x.mean(dtype=np.float64) for x in (first, second))
    norm = float(np.sqrt(np.dot(a, a) * np.dot(b, b)))
    return float(np.dot(a, b)) / norm if norm > 0 else 0.0
