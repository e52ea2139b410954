"""What is unusual about an image or its noise, so that a result needs a second look: found beside the noise."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntFlag

import numpy as np

from mri_denoise.median_level import median_level
from mri_denoise.noise.rician import grey_step
from mri_denoise.noise.zero_level import ZeroLevel
from mri_denoise.sampling import sample_step

_STRONG = 0.15  # of the image's range; the benchmarks end at noise of 15 % of the maximum
_WEAK = 0.004  # likewise; scans that were denoised before have 0.1 to 0.6 %. Below, uncertainty is no matter
_SHARED = 0.15  # correlation with the next voxel
_UNEVEN = 1.25  # 95th by 5th percentile of sigma
_SAMPLE = 500_000  # voxels
_TOP = 0.999  # quantile that ends the range, as the network's input is scaled


class Caution(IntFlag):
    """Kinds of unusual images; several may be true of one."""

    STRONG = 1
    WEAK = 2
    SHARED = 4
    UNEVEN = 8
    COARSE = 16
    SHIFTED = 32
    UNSURE = 64
    OUTLYING = 128
    VANISHED = 256  # of a result, not of the noise: bundles.item.found_in sets it


# its name in outputs and records, and what reports say
_WORDS: Mapping[Caution, tuple[str, str]] = {
    Caution.STRONG: (
        "strong noise",
        "There is more noise than the model was measured with (15 % of the maximum): fine structure goes with it.",
    ),
    Caution.WEAK: (
        "hardly any noise",
        "There is hardly any noise: the image may have been denoised or averaged before. Keeping it may be better.",
    ),
    Caution.SHARED: (
        "correlated noise",
        "Neighbouring voxels share noise, as after interpolation or a filter: less of it is removed.",
    ),
    Caution.UNEVEN: (
        "uneven noise",
        "The noise is stronger in some places than in others; its map is an estimate. A map of your own is safer.",
    ),
    Caution.COARSE: (
        "coarse grey levels",
        "Grey levels are farther apart than the noise is strong, so that its level is uncertain.",
    ),
    Caution.SHIFTED: (
        "no plain magnitude",
        "Values do not count from 0 as magnitudes do: a shifted image, or none of MR (a map, a phase, CT).",
    ),
    Caution.UNSURE: (
        "uncertain level",
        "The level of the noise is little more than a guess: tissue is too fine, or there is too little. Give a sigma.",
    ),
    Caution.OUTLYING: (
        "values far above the image",
        "Values far above the image (padding, text, wrapped negative values) are no measurements and stay as they are.",
    ),
    Caution.VANISHED: (
        "hardly any image left",
        "Hardly any voxel has signal left: the noise level is too high for this image, or it is noise alone.",
    ),
}
UNSURE = 0.5  # confidence in a level below which it is uncertain: an expected error of a third
SENTENCES: Mapping[str, str] = dict(_WORDS.values())


def names(cautions: int) -> list[str]:
    """Name the cautions that are set.

    Args:
        cautions: flags of :class:`Caution`.

    Examples:
        >>> names(Caution.SHARED | Caution.COARSE)
        ['correlated noise', 'coarse grey levels']
    """
    return [name for flag, (name, _) in _WORDS.items() if cautions & flag]


def find_cautions(
    volume: np.ndarray,
    sigma: np.ndarray,
    *,
    variation: float,
    correlation: np.ndarray,
    zero: ZeroLevel,
    confidence: float = 1.0,
) -> Caution:
    """Tell what is unusual about a volume.

    Args:
        volume: magnitudes, shape (X, Y, Z), any unit; NaN and infinity are ignored.
        sigma: of its noise in the same unit: a number, shape (), or a map, which may be 0 in most of the volume.
        variation: high by low sigma over the volume; 1 for one number.
        correlation: of the noise with its neighbours, shape (3, lags), from 1 at lag 0.
        zero: what the magnitudes count from.
        confidence: in sigma, 0 to 1; 1 if it was given.

    Returns:
        the flags that apply. Where no noise was found, nothing is removed, and only ``SHIFTED`` may apply.

    Examples:
        >>> air = np.random.default_rng(0).rayleigh(20, (32, 32, 8))
        >>> find_cautions(air.round(-2), np.array(20), variation=1, correlation=np.ones((3, 1)), zero=ZeroLevel())
        <Caution.STRONG|COARSE: 17>
    """
    found = Caution(0) if zero.value == 0 and zero.sign > 0 else Caution.SHIFTED
    level = median_level(_sample(sigma))
    values = _sample(volume)
    values = np.sort(values[np.isfinite(values) & (values <= zero.ceiling)])
    if level <= 0 or not values.size:
        return found
    low, high = values[[int((1 - _TOP) * (len(values) - 1)), int(_TOP * (len(values) - 1))]].astype(float)
    if not zero.signed:
        low, high = (zero.value, high) if zero.sign > 0 else (low, zero.value)
    if high > low:
        share = level / (high - low)
        found |= Caution.STRONG if share > _STRONG else Caution.WEAK if share < _WEAK else Caution(0)
    if grey_step(values[np.concatenate(([True], np.diff(values) > 0))]) > level:
        found |= Caution.COARSE
    if correlation[:, 1:2].max(initial=0) > _SHARED:
        found |= Caution.SHARED
    if variation > _UNEVEN:
        found |= Caution.UNEVEN
    if confidence < UNSURE and high > low and level >= _WEAK * (high - low):
        found |= Caution.UNSURE
    if zero.ceiling < np.inf:
        found |= Caution.OUTLYING
    return found


def _sample(values: np.ndarray) -> np.ndarray:
    flat = np.asarray(values).reshape(-1)
    return flat[:: sample_step(flat.size, _SAMPLE)]
