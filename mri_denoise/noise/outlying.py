"""Find voxels far above an image that are no measurement: padding, burnt-in text, negative values that wrapped round.

Such voxels would pass for signal: the scale of the image, and the level of its noise, would be theirs. Bright tissue,
also where it saturates, has values in between that lead up to it.
"""

from __future__ import annotations

import math

import numpy as np

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
    values = values[:: max(values.size // _SAMPLE, 1) | 1]  # odd, so that it is no multiple of most rows
    values = np.sort(values[np.isfinite(values)])
    rest = values
    while rest.size and rest[-1] > 0:
        lower = rest[: _first_outlying(rest)]
        if lower.size == rest.size or lower.size < (1 - _MOST) * values.size or lower[0] == lower[-1]:
            break
        rest = lower
    if rest.size == values.size:
        return math.inf
    return float(np.nextafter(np.float32(values[rest.size]), np.float32(0)))


def _first_outlying(values: np.ndarray) -> int:
    """Where the highest of sorted values begin, if they are outlying; otherwise how many values there are."""
    top = int(np.searchsorted(values, values[-1]))
    if top and values.size - top >= _FEW:
        below = float(values[top - 1])
        if values[-1] > _APART * max(below, 0.0) and np.count_nonzero(np.diff(values[:top])) >= _LEVELS:
            return top
    wrapped = int(np.searchsorted(values, _WRAPPED * _WORD))
    if not 0 < wrapped <= values.size - _FEW or values[-1] >= _WORD or float(values[wrapped - 1]) * _FAR > values[-1]:
        return values.size
    return wrapped if np.array_equal(values[wrapped:], np.rint(values[wrapped:])) else values.size
