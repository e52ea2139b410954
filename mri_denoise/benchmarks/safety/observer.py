"""A channelized Hotelling observer: how well a known lesion can be told from none.

It sees a place through a few channels and weights them linearly, so as to tell best whether a lesion is there (Barrett,
Yao, Rolland and Myers, "Model observers for assessment of image quality", PNAS 90, 9758-9765, 1993,
https://doi.org/10.1073/pnas.90.21.9758). The channels are Laguerre-Gauss functions of the distance, which are efficient
for round signals (Gallas and Barrett, JOSA A 20(9), 1725-1738, 2003, https://doi.org/10.1364/JOSAA.20.001725). Weights
are never tested on the draws of noise that they were found from.
"""

from __future__ import annotations

import numpy as np
from scipy.special import eval_laguerre

CHANNELS = 4
_RIDGE = 1e-6  # of the mean variance: keeps channels without any variance invertible


def channels(distance: np.ndarray, width: float) -> np.ndarray:
    """Laguerre-Gauss channels ``sqrt(2) / width exp(-pi r^2 / width^2) L_j(2 pi r^2 / width^2)``.

    Args:
        distance: r of each voxel, any shape.
        width: in the unit of ``distance``.

    Returns:
        shape (voxels, :data:`CHANNELS`), each of unit norm.
    """
    square = np.square(distance.ravel() / width)
    found = np.stack([np.exp(-np.pi * square) * eval_laguerre(j, 2 * np.pi * square) for j in range(CHANNELS)], axis=1)
    norms: np.ndarray = np.linalg.norm(found, axis=0)
    return found / norms


def area_under_curve(present: np.ndarray, absent: np.ndarray) -> float:
    """The share of pairs in which the score with a lesion is the higher one; equal scores count half.

    Args:
        present: scores with a lesion, shape (N,).
        absent: scores without, shape (M,).

    Examples:
        >>> area_under_curve(np.array([1.0, 3.0]), np.array([0.0, 2.0]))
        0.75
    """
    difference = present[:, None] - absent[None]
    return float(np.mean(difference > 0) + np.mean(difference == 0) / 2)


def detectability(present: np.ndarray, absent: np.ndarray) -> tuple[float, float | None]:
    """Area under the curve of the Hotelling observer; even draws are scored by what odd ones taught, and vice versa.

    Args:
        present: what the channels see with a lesion, shape (draws, sites, channels), two draws or more.
        absent: the same without.

    Returns:
        the mean over the draws, 0.5 for guessing to 1, and its standard error; None for a single site.
    """
    areas: list[float] = []
    for half in (0, 1):
        rest = [_flat(values[1 - half :: 2]) for values in (present, absent)]
        spread = np.mean([np.cov(values, rowvar=False) for values in rest], axis=0)
        spread += np.eye(len(spread)) * max(_RIDGE * float(np.trace(spread)), np.finfo(float).tiny)
        weights = np.linalg.solve(spread, rest[0].mean(axis=0) - rest[1].mean(axis=0))
        for with_lesion, without in zip(present[half::2], absent[half::2], strict=True):
            areas.append(area_under_curve(with_lesion @ weights, without @ weights))
    if present.shape[1] < 2:
        return float(np.mean(areas)), None
    return float(np.mean(areas)), float(np.std(areas, ddof=1) / np.sqrt(len(areas)))


def _flat(values: np.ndarray) -> np.ndarray:
    return values.reshape(-1, values.shape[-1])
