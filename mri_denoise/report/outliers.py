"""Scans that differ from the others of their kind."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LEAST = 8  # scans: of fewer the spread is too uncertain
LIMIT = 3.5  # Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993
_EQUAL = 1e-12  # times the largest distance: a smaller one is rounding
_SPREAD = 0.6745  # median absolute deviation of the normal distribution


def robust_z(values: Sequence[float | None], kinds: Sequence[str]) -> list[float | None]:
    """Compute how far each value lies from the median of its kind, in robust standard deviations.

    The score is 0.6745 (x - median) / MAD (Iglewicz and Hoaglin 1993). Where more than half of the values are equal but
    for rounding, so that MAD is 0, the mean absolute deviation times 1.2533 takes its place.

    Args:
        values: one a scan; None where it was not measured.
        kinds: one a scan.

    Returns:
        the scores; None for a value that is None, and for a kind with fewer than 8 values.

    Examples:
        >>> [round(z, 1) for z in robust_z([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 40.0], ["T1w"] * 9)]
        [-1.3, -1.0, -0.7, -0.3, 0.0, 0.3, 0.7, 1.0, 11.8]
    """
    scores: list[float | None] = [None] * len(values)
    for kind in set(kinds):
        places = [i for i, value in enumerate(values) if kinds[i] == kind and value is not None]
        if len(places) < LEAST:
            continue
        known = np.array([values[i] for i in places], dtype=np.float64)
        distance = known - np.median(known)
        spread = float(np.median(np.abs(distance))) / _SPREAD
        if spread <= _EQUAL * float(np.max(np.abs(distance))):
            spread = float(np.mean(np.abs(distance))) * 1.2533
        for i, far in zip(places, distance, strict=True):
            scores[i] = float(far) / spread if spread > 0 else 0.0
    return scores
