"""Statistics of paired scores against closed forms and other implementations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from mri_denoise.evaluation.statistics import compare_paired, summarise

A = np.array([31.2, 30.1, 33.8, 29.9, 32.5, 31.0, 30.7, 34.1])
B = np.array([30.4, 30.3, 33.1, 28.8, 31.9, 30.9, 30.1, 32.8])


def test_mean_and_spread_of_a_known_list() -> None:
    summary = summarise([2, 4, 4, 4, 5, 5, 7, 9])
    assert (summary.count, summary.mean) == (8, 5) and summary.sd == pytest.approx(math.sqrt(32 / 7))
    assert math.isnan(summarise([3.0]).sd)
    with pytest.raises(ValueError, match="no scores"):
        summarise([])


def test_t_test_and_interval_against_scipy() -> None:
    found = compare_paired(A, B)
    test = stats.ttest_rel(A, B)
    interval = test.confidence_interval(0.95)
    assert (found.t, found.p) == pytest.approx((test.statistic, test.pvalue), rel=1e-10)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-10)
    assert found.mean == pytest.approx(np.mean(A - B))


def test_effect_size_and_wilcoxon_by_hand() -> None:
    found = compare_paired(A, B)
    d = A - B
    assert found.cohen_d == pytest.approx(d.mean() / d.std(ddof=1))
    # one of eight differences is negative; it is the second smallest in size (0.2 after 0.1)
    assert found.wilcoxon == 2
    # all sums of ranks up to 2 of eight signs: {}, {1}, {2}: 3 of 256 on each side
    assert found.wilcoxon_p == pytest.approx(2 * 3 / 256)


def test_order_turns_the_signs() -> None:
    one, other = compare_paired(A, B), compare_paired(B, A)
    assert (one.t, one.cohen_d) == pytest.approx((-other.t, -other.cohen_d))
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
    assert (one.p, one.wilcoxon, one.wilcoxon_p) == pytest.approx((other.p, other.wilcoxon, other.wilcoxon_p))


def test_equal_scores_and_equal_differences() -> None:
    same = compare_paired(A, A)
    assert (same.t, same.p, same.wilcoxon, same.wilcoxon_p, same.cohen_d) == (0, 1, 0, 1, 0)
    shifted = compare_paired([1.0, 2.0, 4.0], [0.0, 1.0, 3.0])
    assert shifted.t == math.inf and shifted.p == 0 and shifted.low == shifted.high == 1


@pytest.mark.parametrize(("a", "b"), [([1.0], [2.0]), ([1.0, 2.0], [1.0]), ([1.0, math.inf], [1.0, 2.0])])
def test_bad_scores_are_refused(a: list[float], b: list[float]) -> None:
    with pytest.raises(ValueError, match="needed|finite"):
        compare_paired(a, b)
