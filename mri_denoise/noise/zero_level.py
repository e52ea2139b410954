"""Find the value that a magnitude image counts from, which is 0 unless somebody shifted it.

Rice's distribution counts from the true zero. A rescale intercept, a subtracted minimum or a z-score move it, so that
air lies at 1024 or at -0.7 and not at 0. In such an image the air still follows Rayleigh's distribution, whose density
begins as a straight line at the true zero: there is where the distribution of the darkest blocks ends. Images that
hold both signs for another reason (real parts, z-scores without air, the uniform images of MP2RAGE) have no such place,
and their noise is the same at every value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from mri_denoise.noise.blocks import cut_blocks, find_signal, normalise, sample_slabs
from mri_denoise.noise.fits import MAD_TO_STD, Samples, robust_std
from mri_denoise.noise.outlying import find_ceiling
from mri_denoise.noise.rician import RAYLEIGH_STD, grey_step, rayleigh_distance
from mri_denoise.sampling import sample_step

_SAMPLE = 1_000_000  # voxels
_FILL = 0.02  # fraction of voxels of one value, above which it may be a mask or padding
_FEW, _APART = 9, 0.1  # voxels, and distance from the next value in the image's range: a few that lie apart are padding
_NEGATIVE = 0.05  # fraction of negative voxels, below which they are ringing of an interpolation
_LEAST = 20  # blocks of air
_COARSE = 1.2  # standard deviation of the air in grey levels, below which its distribution cannot be told
_Q01, _Q10, _Q50 = (math.sqrt(-2 * math.log1p(-p)) for p in (0.01, 0.1, 0.5))  # quantiles of Rayleigh's distribution
_UNIFORM = 1 / math.sqrt(12)  # standard deviation of the uniform distribution of width 1


@dataclass(frozen=True, kw_only=True)
class ZeroLevel:
    """Where the magnitudes of a volume count from.

    Args:
        value: the true zero, in the unit of the volume; 0 for images as scanners write them. For signed images a value
            far below the darkest voxel: counted from there, noise is the same at every value.
        signed: whether the image is no magnitude, so that its noise has no bias.
        sign: -1 if brighter voxels have smaller values, so that air is the brightest; 1 otherwise.
        fill: the value of masked or padded voxels, if that is neither ``value`` nor 0; None otherwise.
        speckle: whether voxels without signal hold any value of the range (MP2RAGE's uniform image).
        ceiling: voxels above it are no measurement (:func:`~mri_denoise.noise.outlying.find_ceiling`); infinity if
            all may be.
    """

    value: float = 0.0
    signed: bool = False
    sign: int = 1
    fill: float | None = None
    speckle: bool = False
    ceiling: float = math.inf

    @property
    def usual(self) -> bool:
        """Whether the image counts from 0, as scanners write it."""
        return self.value == 0 and self.fill is None and self.sign > 0 and math.isinf(self.ceiling)

    def counted(self, volume: np.ndarray) -> np.ndarray:
        """Count a volume from its zero.

        Args:
            volume: shape (X, Y, Z).

        Returns:
            float32, the same shape: masked voxels are 0; the volume itself if it counts from 0 already.
        """
        if self.usual:
            return volume
        shifted = np.float32(self.sign) * (np.asarray(volume, dtype=np.float32) - np.float32(self.value))
        if self.fill is not None:
            shifted[volume == np.float32(self.fill)] = 0
        if math.isfinite(self.ceiling):
            shifted[np.asarray(volume) > self.ceiling] = 0
        return shifted

    def measurable(self, volume: np.ndarray) -> np.ndarray:
        """Count a volume from its zero, NaN where its noise is not that of its tissue.

        Args:
            volume: shape (X, Y, Z).

        Returns:
            float32, the same shape.
        """
        shifted = self.counted(volume)
        return np.where(_speckled(volume), np.float32(np.nan), shifted) if self.speckle else shifted


def find_zero(volume: np.ndarray) -> ZeroLevel:
    """Find the value that the magnitudes of a volume count from.

    Args:
        volume: shape (X, Y, Z), any unit; NaN and infinity are ignored.

    Returns:
        where they count from. 0 in doubt, if no or hardly any voxel is negative.

    Examples:
        >>> air = np.random.default_rng(0).rayleigh(20, (48, 48, 8))
        >>> round(find_zero(air - 1024).value, -1), find_zero(air).value
        (-1020.0, 0.0)
    """
    ceiling = find_ceiling(volume)
    below = volume if math.isinf(ceiling) else np.where(np.asarray(volume) > ceiling, np.float32(np.nan), volume)
    found = _find_zero(below)
    # rounded as voxels are, so that masked ones become exactly 0
    return replace(found, value=float(np.float32(found.value)), ceiling=ceiling)


def _find_zero(volume: np.ndarray) -> ZeroLevel:
    """The value that a volume counts from whose voxels are measurements, masked, or not finite."""
    values = np.asarray(volume).reshape(-1)
    values = values[:: sample_step(values.size, _SAMPLE)]
    values = np.sort(values[np.isfinite(values)])
    if not values.size or values[0] == values[-1]:
        return ZeroLevel()
    speckle = _is_speckled(volume, values)
    if not speckle and _begins_at_zero(values):
        return ZeroLevel()
    fills = [fill for fill in {float(values[0]), 0.0} if _is_fill(values, fill)]
    rest = values[~np.isin(values, fills)] if fills else values
    if not rest.size:
        return ZeroLevel()
    low, high = _at(rest, 0.001), _at(rest, 0.999)
    lowest = float(values[0])
    fill = fills[0] if len(fills) == 1 else None
    if not speckle:
        solid = np.where(np.isin(volume, fills), np.float32(np.nan), volume) if fills else volume
        found = _zero_of_air(solid)
        if found is not None:
            return ZeroLevel(value=found, fill=fill if found or fill else None)
        found = _zero_of_air(-solid)
        if found is not None:
            return ZeroLevel(value=-found, sign=-1, fill=fill)
        if lowest in fills and (lowest > 0 or (low < 0 and low - lowest < (high - low) / 2)):
            return ZeroLevel(value=lowest)
        if lowest in fills and low >= 0:
            return ZeroLevel(fill=lowest if lowest else None)
        negative = np.searchsorted(rest, 0) / rest.size
        if negative < _NEGATIVE or _at(rest, 0.01) > -0.02 * (high - low):
            return ZeroLevel()
    return ZeroLevel(value=low - (high - low) / 2, signed=True, fill=fill, speckle=speckle)


def _at(values: np.ndarray, quantile: float) -> float:
    """A quantile of sorted values."""
    return float(values[int(quantile * (len(values) - 1))])


def _begins_at_zero(values: np.ndarray) -> bool:
    """Whether sorted voxels are of a magnitude image with air, or with masked air, as scanners write it."""
    if values[0] < 0:
        return False
    if _is_fill(values, 0.0):
        inside = values[np.searchsorted(values, 0, "right") :]
        return not inside.size or _at(inside, 0.0001) <= _at(inside, 0.5) / 2
    return _at(values, 0.01) == 0 or _at(values, 0.0001) < _at(values, 0.01) / 2


def _is_fill(values: np.ndarray, fill: float) -> bool:
    """Whether a value of sorted voxels is no measurement: it lies apart, or noise would not give it so often."""
    start, stop = (int(np.searchsorted(values, fill, side)) for side in ("left", "right"))
    if stop - start < _FEW or stop - start == values.size:
        return False
    gap = min(abs(float(values[place]) - fill) for place in (start - 1, stop) if 0 <= place < values.size)
    if gap > _APART * (_at(values, 0.99) - _at(values, 0.01)):
        return True
    around = [np.searchsorted(values, fill + side * 1.5 * gap) for side in (-1, 1)]
    return bool(stop - start > _FILL * values.size and 2 * (stop - start) > around[1] - around[0])


def _zero_of_air(volume: np.ndarray) -> float | None:
    """The true zero by the darkest blocks: 0 if it is near 0; None if they do not follow Rayleigh's distribution."""
    data = np.asarray(volume, dtype=np.float32)
    scale, _ = find_signal(data)
    parts = [normalise(part, scale) for part in sample_slabs(data, np.isfinite(data))]
    samples = Samples.of(cut_blocks(part) for part in parts)
    if samples is None:
        return None
    mean = samples.mean
    std = samples.values.std(axis=1)
    least = max(_LEAST, int(_FILL * len(mean)))
    dark = np.argsort(mean)[:least]
    for _ in range(6):
        centre, spread = float(np.median(mean[dark])), float(np.median(std[dark]))
        dark = np.flatnonzero(np.abs(mean - centre) < 0.4 * spread)
        if len(dark) < least:
            return None
    noise = samples.values[dark].astype(np.float64)
    step, lowest = grey_step(np.unique(noise)), float(samples.values.min())
    if step > spread / _COARSE:  # too coarse to see how it begins
        near_lowest = centre - lowest < 4 * max(spread, step) and abs(lowest) > 10 * max(spread, step)
        return lowest * scale if near_lowest else None
    sigma, zero = _fit_rayleigh(noise, step)
    detail = robust_std(samples.response[dark]) / RAYLEIGH_STD
    if sigma <= 0 or not 0.3 * sigma < detail < 1.15 * sigma:
        return None
    if float(np.mean(samples.values < zero - 0.5 * sigma - step)) > 0.001 or not _begins_like_air(noise, sigma, zero):
        return None
    near = sigma if zero > 0 else 0.3 * sigma
    return zero * scale if abs(zero) > near else 0.0


def _fit_rayleigh(noise: np.ndarray, step: float) -> tuple[float, float]:
    """Sigma and zero of a shifted Rayleigh distribution by its lower half, which ghosts and tissue hardly change."""
    even = noise + step * (np.random.default_rng(0).random(noise.shape) - 0.5)
    tenth, half = (float(np.quantile(even, q)) for q in (0.1, 0.5))
    sigma = (half - tenth) / (_Q50 - _Q10)
    return sigma, tenth - _Q10 * sigma


def _begins_like_air(noise: np.ndarray, sigma: float, zero: float) -> bool:
    """Whether noise begins at its zero as Rayleigh's distribution does, and follows it on the whole."""
    step = grey_step(np.unique(noise))
    if float(np.mean(noise < zero - 0.1 * sigma - step / 2)) > 0.002:
        return False
    first = float(np.quantile(noise, 0.01))
    if abs(first - zero - _Q01 * sigma) > 0.06 * sigma + step / 2:
        return False
    return rayleigh_distance(np.maximum(noise - zero, -step / 2), sigma) < 0.03


def _is_speckled(volume: np.ndarray, values: np.ndarray) -> bool:
    """Whether many blocks hold values from the whole range alike, as MP2RAGE's uniform image does where nothing is."""
    low, width = float(values[0]), float(values[-1]) - float(values[0])
    ends = [np.searchsorted(values, low + part * width) / values.size for part in (0.02, 0.98)]
    if ends[0] < 0.0005 or ends[1] > 0.9995:
        return False
    data = np.asarray(volume, dtype=np.float32)
    parts = [normalise(part, 1.0) for part in sample_slabs(data, np.isfinite(data))]
    samples = Samples.of(cut_blocks(part) for part in parts)
    if samples is None:
        return False
    alike = np.abs(samples.values.std(axis=1) / width - _UNIFORM) < 0.15 * _UNIFORM
    alike &= np.abs((samples.mean - low) / width - 0.5) < 0.15
    # in blocks across an edge few voxels only differ from their neighbours
    alike[alike] = np.median(np.abs(samples.response[alike]), axis=1) * MAD_TO_STD > 0.6 * _UNIFORM * width
    return bool(alike.mean() > _FILL and alike.sum() >= _LEAST)


def _speckled(volume: np.ndarray) -> np.ndarray:
    """Voxels around which values from the whole range occur alike: boolean, the shape of the volume."""
    data = np.nan_to_num(np.asarray(volume, dtype=np.float32))
    size = [min(5, n) for n in data.shape]
    mean = ndimage.uniform_filter(data, size)
    power = ndimage.uniform_filter(np.square(data), size)
    low, width = float(data.min()), float(np.ptp(data))
    found: np.ndarray = power - np.square(mean) > np.square(0.8 * _UNIFORM * width)
    found &= np.abs(mean - low - width / 2) < 0.2 * width
    return found
