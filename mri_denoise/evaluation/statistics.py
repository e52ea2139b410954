"""Statistics of scores: summaries, and tests of paired differences on the same images. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True, kw_only=True)
class PairedComparison:
    """The difference of the scores of two methods on the same n images, ``first - second``.

    Args:
        mean: mean difference.
        t: statistic of Student's paired t-test with n - 1 degrees of freedom, ``mean / (sd / sqrt(n))``.
        p: its two-sided probability.
        low: lower end of the 95 % confidence interval of the mean difference.
        high: its upper end.
        wilcoxon: the smaller rank sum of Wilcoxon's signed-rank test.
        wilcoxon_p: its two-sided probability.
        cohen_d: effect size d_z, ``mean / sd`` of the differences.
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
    """Compute mean and standard deviation.

    Args:
        scores: one number an image, one at least.

    Raises:
        ValueError: if there is no score.

    Examples:
        >>> summarise([1.0, 2.0, 3.0])
        Summary(count=3, mean=2.0, sd=1.0)
    """
    values = np.asarray(scores, dtype=np.float64).ravel()
    if not values.size:
        raise ValueError("there are no scores.")
    sd = float(values.std(ddof=1)) if values.size > 1 else float("nan")
    return Summary(count=int(values.size), mean=float(values.mean()), sd=sd)


def compare_paired(first: ArrayLike, second: ArrayLike) -> PairedComparison:
    """Compare two methods on the same images.

    The comparison consists of Student's paired t-test, the 95 % confidence interval of the mean difference, Wilcoxon's
    signed-rank test (Biometrics Bulletin 1(6), 80-83, 1945, doi:10.2307/3001968; differences of zero are left out) and
    Cohen's d_z (Lakens, Frontiers in Psychology 4, 863, 2013, doi:10.3389/fpsyg.2013.00863). The tests assume that
    images are independent; slices of one subject are not, and make p smaller than it should be.

    Args:
        first: scores of one method, one number an image.
        second: scores of the other method on the same images, in the same order.

    Returns:
        the comparison of ``first - second``. Where all differences are equal, t and d_z are infinite; where they are
        all zero, t and d_z are 0 and both probabilities are 1.

    Raises:
        ValueError: if the lengths differ, there are fewer than two pairs, or a score is not finite.

    Examples:
        >>> found = compare_paired([31.0, 33.0, 35.0], [30.0, 31.0, 32.0])
        >>> found.mean, round(found.t, 3), round(found.cohen_d, 3)
        (2.0, 3.464, 2.0)
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
