"""Leave out tissue whose brightness was cut off at the largest value: it spreads less than its noise.

A display window, a picture with clipped whites and a receiver that overflows do so. The noise would be found too low
by up to all of it, since the quietest tissue tells its level.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

_LEAST = 0.002  # fraction of the voxels: fewer do not matter
_NEXT = 0.9  # times the largest value is what counts as bright
_PILED = 0.25  # of the bright voxels have the largest value: in an image that is not cut off, few do
_NEAR, _SHARE = 9, 0.05  # voxels of a neighbourhood within a slice, and the share of cut-off ones in it that spoils it


def without_saturated(slices: np.ndarray) -> np.ndarray:
    """Set tissue that is cut off, and what is next to it, to NaN.

    Args:
        slices: magnitudes, shape (X, Y, slices); NaN for what cannot be measured.

    Returns:
        a changed copy; the slices themselves if no value was cut off.
    """
    top = float(np.nanmax(slices, initial=0))
    cut = slices == np.float32(top)
    count = np.count_nonzero(cut)
    if not top > 0 or count < _LEAST * slices.size:
        return slices
    bright = np.count_nonzero(slices > _NEXT * top)
    if not _PILED * bright < count < bright:  # of few grey levels, the highest is no sign of anything
        return slices
    near = ndimage.uniform_filter(cut.astype(np.float32), (_NEAR, _NEAR, 1)) > _SHARE
    found: np.ndarray = np.where(near, np.float32(np.nan), slices)
    return found
