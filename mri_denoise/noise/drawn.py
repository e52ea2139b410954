"""Tell labels and drawings, which hold no noise, from images."""

from __future__ import annotations

import numpy as np

_DRAWN = 0.4  # fraction of voxels that equal their neighbours, above which an image holds no noise


def is_drawn(slices: np.ndarray) -> bool:
    """Whether most voxels equal their neighbours exactly, as in labels and drawings: noise would make them differ.

    A frame of one value, which may be wide, does not count.

    Args:
        slices: shape (X, Y, slices), any unit; NaN and 0 do not count.
    """
    here = slices[:-1, :-1]
    inside = np.isfinite(here) & (here != 0)
    if not inside.any():
        return False
    same = (here == slices[1:, :-1]) & (here == slices[:-1, 1:])
    values, counts = np.unique(here[inside & same], return_counts=True)
    if not values.size:
        return False
    others = inside & (here != values[counts.argmax()])
    return bool(same[others if others.any() else inside].mean() > _DRAWN)
