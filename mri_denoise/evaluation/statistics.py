"""Whether two methods differ on the same images: tests and sizes of paired differences, pure functions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


@dataclass(frozen=True)
class Summary:
    """Mean and spread of scores.

    Args:
        count: number of scores.
        mean: their mean.
        sd: standard deviation with ``count - 1`` in the denominator; NaN for a single score.
    """

    count: int
    mean: float
    sd: float


@dataclass(frozen=True)
class PairedComparison:
    """Two methods' scores of the same images, ``first - second``.

    Args:
        mean: mean difference.
        t: statistic of Student's paired t-test with ``count - 1`` degrees of freedom.
        p: its two-sided probability.
        low: lower end of the 95 % confidence interval of the mean difference.
        high: its upper end.
        wilcoxon: the smaller rank sum of Wilcoxon's signed rank test.
        wilcoxon_p: its two-sided probability.
        cohen_d: effect size d_z, the mean difference in its own standard deviations.
    """

    mean: float
    t: float
    p: float
    low: float
    high: float
    wilcoxon: float
    wilcoxon_p: float
    cohen_d: float


def summarise(scores: ArrayLike) -> Summary:
    """Mean and standard deviation.

    Args:
        scores: one number an image, one at least.

    Raises:
        ValueError: if there is no score.
    """
    values = np.asarray(scores, dtype=np.float64).ravel()
    if not values.size:
        raise ValueError("there are no scores.")
    sd = float(values.std(ddof=1)) if values.size > 1 else float("nan")
    return Summary(int(values.size), float(values.mean()), sd)


def compare_paired(first: ArrayLike, second: ArrayLike) -> PairedComparison:
    """Compare two methods on the same images.

    Student's paired t-test, the 95 % interval of the mean difference, Wilcoxon's signed rank test (Biometrics
    Bulletin 1(6), 80-83, 1945; differences of zero are left out) and Cohen's d_z (Lakens, Frontiers in Psychology 4,
    863, 2013, https://doi.org/10.3389/fpsyg.2013.00863). Images of one subject are not independent: slices of a volume
    make p smaller than it should be.

    Args:
        first: scores of one method, one number an image.
        second: scores of the other one on the same images, in the same order.

    Returns:
        the comparison of ``first - second``. Where all differences are equal, t and d_z are infinite (0 where they are
        all zero: then both probabilities are 1).

    Raises:
        ValueError: if the lengths differ, there are fewer than two pairs, or a score is not finite.
    """
    a, b = (np.asarray(x, dtype=np.float64).ravel() for x in (first, second))
    if a.size != b.size or a.size < 2:
        raise ValueError(f"two or more pairs of scores are needed, got {a.size} and {b.size} scores.")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("scores must be finite.")
    difference = a - b
    mean, sd = float(difference.mean()), float(difference.std(ddof=1))
    error = sd / np.sqrt(a.size)
    if error > 0:
        t = mean / error
    else:
        t = 0.0 if mean == 0 else float(np.copysign(np.inf, mean))
    p = float(2 * stats.t.sf(abs(t), a.size - 1))
    reach = float(stats.t.ppf(0.975, a.size - 1)) * error
    changed = difference[difference != 0]
    wilcoxon, wilcoxon_p = stats.wilcoxon(changed) if changed.size else (0.0, 1.0)
    return PairedComparison(
        mean=mean,
        t=float(t),
        p=p,
        low=mean - reach,
        high=mean + reach,
        wilcoxon=float(wilcoxon),
        wilcoxon_p=float(wilcoxon_p),
        cohen_d=float(t / np.sqrt(a.size)),
    )
