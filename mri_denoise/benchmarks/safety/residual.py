"""The residual is noise: as large as it, as white as it, without anatomy; and dark tissue keeps its signal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from mri_denoise.benchmarks.repeats.scores import lag_one
from mri_denoise.benchmarks.safety.findings import Finding, mean_of
from mri_denoise.benchmarks.safety.plan import Head, Plan
from mri_denoise.evaluation.metrics import head_mask

PART = "residual"
_BRIGHT = 5.0  # sigma: above, Rician noise is nearly normal
_DIM = 3.0  # sigma: below, its bias matters
_DETAIL = 2.0  # voxels: the width of the mean that detail is the difference to


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson's correlation; 0 where one of the two is constant.

    Examples:
        >>> round(correlation(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0])), 6)
        1.0
    """
    a, b = (values.astype(np.float64) - values.mean(dtype=np.float64) for values in (first, second))
    scale = float(np.sqrt(np.sum(a * a) * np.sum(b * b)))
    return float(np.sum(a * b)) / scale if scale > 0 else 0.0


def measure(head: Head, plan: Plan, noisy: Sequence[np.ndarray], results: Sequence[np.ndarray]) -> list[Finding]:
    """Measure input minus result of each draw.

    Args:
        head: the phantom.
        plan: of the run.
        noisy: the inputs.
        results: what was made of them.
    """
    bright = head.truth > _BRIGHT * plan.sigma
    dim = head_mask(head.truth) & (head.truth < _DIM * plan.sigma)
    detail = (head.truth - ndimage.gaussian_filter(head.truth, _DETAIL))[bright]
    ratios, lags, matches, biases = [], [], [], []
    for before, after in zip(noisy, results, strict=True):
        removed = before.astype(np.float64) - after
        ratios.append(float(removed[bright].std() / plan.sigma))
        lags.append(float(np.mean(lag_one(removed, bright))) if ratios[-1] > 0 else float("nan"))
        matches.append(correlation(removed[bright], detail))
        biases.append(float((after - head.truth)[dim].mean(dtype=np.float64) / plan.sigma) if dim.any() else np.nan)
    return [
        mean_of(PART, "tissue", "residual / sigma", ratios),
        mean_of(PART, "tissue", "correlation with neighbours", lags),
        mean_of(PART, "tissue", "correlation with detail", matches),
        mean_of(PART, "dark tissue", "bias (sigma)", biases),
    ]
