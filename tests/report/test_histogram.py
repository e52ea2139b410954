"""Histograms: what is drawn is the distribution, for integers as well."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy import stats

from mri_denoise.report.histogram import HEIGHT, WIDTH, Chart, intensity_chart, removed_chart


def bars(chart: Chart, kind: str) -> np.ndarray:
    """Right end and height of each bar, in units of the drawing."""
    (path,) = (curve.path for curve in chart.curves if curve.kind == kind)
    return np.array([(float(x), HEIGHT - float(y)) for y, x in re.findall(r"V([\d.]+)H([\d.]+)", path)])


@pytest.mark.parametrize("sigma", [0.8, 3.0, 100.0])
@pytest.mark.parametrize("integers", [True, False])
def test_bars_of_noise_follow_the_normal_distribution_without_gaps(sigma: float, integers: bool) -> None:
    values = np.random.default_rng(0).normal(0, sigma, 200_000).astype(np.float32)
    values = np.rint(values) if integers else values
    chart = removed_chart(values, sigma)
    found = bars(chart, "removed")
    assert found[-1, 0] == pytest.approx(WIDTH) and (found[:, 1] <= HEIGHT).all()
    limit = float(chart.ticks[-1][1])
    edges = (np.concatenate([[0.0], found[:, 0]]) / WIDTH * 2 - 1) * limit
    truth = np.diff(stats.norm.cdf(edges, scale=sigma))
    np.testing.assert_allclose(found[:, 1] / found[:, 1].sum(), truth, atol=0.006)
    assert found[:, 1].max() > 0.8 * HEIGHT
    assert f"{values.std():.4g}" in chart.text and f"{sigma:.4g}" in chart.text
    assert [label for _, label in chart.ticks][2] == "0"


def test_values_of_a_constant_image_and_of_few_grey_levels() -> None:
    constant = np.full(50, 7.0, np.float32)
    assert len(bars(intensity_chart(constant, constant), "after")) > 0
    few = np.repeat(np.arange(10, dtype=np.float32), 100)
    heights = bars(intensity_chart(few, few), "before")[:, 1]
    assert heights.min() > 0.9 * heights.max()  # ten equal bars
    removed = removed_chart(np.zeros(10, np.float32), None)
    assert len(removed.curves) == 1
