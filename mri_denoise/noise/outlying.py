"""Find voxels far above an image that are no measurement: padding, burnt-in text, negative values that wrapped round.

Such voxels would pass for signal: the scale of the image, and the level of its noise, would be theirs. Bright tissue,
also where it saturates, has values in between that lead up to it.
"""

from __future__ import annotations

import math

import numpy as np

from mri_denoise.sampling import sample_step

_SAMPLE = 4_000_000  # voxels
_APART = 1.5  # times the next value below: a fill lies so far above the image
_LEVELS = 8  # grey levels of an image, at least: fewer are labels, or far apart anyway
_FEW = 9  # voxels of a fill: single ones are hot pixels, which are left out elsewhere
_MOST = 0.6  # fraction of voxels that may be outlying
_WORD = 65536.0  # an unsigned integer of 16 bits starts again from there
_WRAPPED, _FAR = 0.95, 2.0  # of that: what is above may have wrapped, if it is so many times the next value below


def find_ceiling(volume: np.ndarray) -> float:
    """Find the largest value that may be a measurement.

    Above it lie values that many voxels share, or those just below 65536 that whole numbers below 0 become, and nothing
    leads up to them.

    Args:
        volume: any shape and unit; NaN and infinity are ignored.

    Returns:
        the number just below those values in float32; infinity if all values may be measurements.

    Examples:
        >>> tissue = np.random.default_rng(0).normal(500, 100, (32, 32, 8)).round().clip(0)
        >>> find_ceiling(tissue)
        inf
        >>> tissue[:8] = 65535
        >>> 65534 < find_ceiling(tissue) < 65535
        True
    """
    values = np.asarray(volume).reshape(-1)
    values = values[:: sample_step(values.size, _SAMPLE)]
    values = values[np.isfinite(values)]
    total, ceiling = values.size, math.inf
    while (lowest := _lowest_outlying(values)) is not None:
        values = values[values < lowest]
        if values.size < (1 - _MOST) * total or np.ptp(values) == 0:
            break
        ceiling = float(np.nextafter(np.float32(lowest), np.float32(0)))
    return ceiling


def _lowest_outlying(values: np.ndarray) -> float | None:
    """The lowest of the values that the highest is among, if they are outlying; None if they are not."""
    top = float(values.max()) if values.size else 0.0
    if top <= 0:
        return None
    near = values > top / _APART
    if _FEW <= np.count_nonzero(near) == np.count_nonzero(values == top) and len(np.unique(values[~near])) >= _LEVELS:
        return top
    if not _WRAPPED * _WORD <= top < _WORD:
        return None
    high = values[values > top / _FAR]
    lowest = float(high.min())
    whole = len(high) >= _FEW and lowest >= _WRAPPED * _WORD and np.array_equal(high, np.rint(high))
    return lowest if whole and len(high) < len(values) else None
