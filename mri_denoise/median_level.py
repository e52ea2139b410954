"""The one level of noise that stands for a map: in the output, records, reports, tables and DICOM."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def median_level(sigma: ArrayLike) -> float:
    """Find the lower median of a noise level where there is noise.

    Maps are often masked to the head, and 0 elsewhere: the level of the noise is that of the head.

    Args:
        sigma: levels from 0 on, finite: a number, or one for each voxel or volume, in any shape and unit.

    Returns:
        the lower median of those above 0, in the same unit; 0 if there are none.

    Examples:
        >>> median_level([0, 0, 0, 20, 30, 40]), median_level(25.0), median_level(np.zeros(5))
        (30.0, 25.0, 0.0)
    """
    flat = np.asarray(sigma).reshape(-1)
    none = flat.size - np.count_nonzero(flat)  # they come first when sorted
    if none == flat.size:
        return 0.0
    middle = none + (flat.size - none - 1) // 2
    return float(np.partition(flat, middle)[middle])
