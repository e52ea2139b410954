"""Histograms of a report, as paths of an SVG drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mri_denoise.noise.rician import grey_step
from mri_denoise.report.html import number
from mri_denoise.sampling import sample_step

WIDTH, HEIGHT = 560, 200  # of the drawing, in its own units
_BINS = 80
_SAMPLE = 20_000  # values by which the grey step is found


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A line of a chart.

    Args:
        name: in the legend.
        kind: the class that the page's style gives a colour.
        path: the ``d`` of an SVG path.
    """

    name: str
    kind: str
    path: str


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A histogram.

    Args:
        title: above it.
        text: what it shows, for those who cannot see it.
        unit: below the axis.
        curves: its lines.
        ticks: place and label of marks on the axis.
    """

    title: str
    text: str
    unit: str
    curves: Sequence[Curve]
    ticks: Sequence[tuple[float, str]]
    width: int = WIDTH
    height: int = HEIGHT


def removed_chart(removed: np.ndarray, expected: float | None) -> Chart:
    """Draw what was removed from the tissue, beside noise of the recorded level.

    Args:
        removed: values of what was removed, any shape.
        expected: standard deviation of the noise, in the same unit; None where it is not known.
    """
    removed = removed.astype(np.float64)  # float32 of 1e36 has squares that float32 has not
    spread = float(removed.std())
    limit = 4 * max(spread, expected or 0.0) or 1.0
    edges = _edges(removed, -limit, limit)
    share = np.histogram(removed, edges)[0] / max(removed.size, 1)
    tallest = float(share.max())
    text = f"What was removed from the tissue has a standard deviation of {spread:.4g}"
    curves = []
    if expected:
        centres = (edges[1:] + edges[:-1]) / 2
        normal = np.exp(-0.5 * np.square(centres / expected)) * (edges[1] - edges[0]) / (expected * np.sqrt(2 * np.pi))
        tallest = max(tallest, float(normal.max()))
        curves.append(Curve(name="all noise of this level", kind="expected", path=_line(normal, tallest)))
        text += f"; noise of the recorded level has {expected:.4g}"
    curves.append(Curve(name="removed", kind="removed", path=_steps(share, tallest)))
    limit = float(edges[-1])
    ticks = [(WIDTH * (v / limit + 1) / 2, number(v, 3)) for v in (-limit, -limit / 2, 0.0, limit / 2, limit)]
    return Chart(title="What was removed", text=f"{text}.", unit="in the file's unit", curves=curves, ticks=ticks)


def intensity_chart(before: np.ndarray, after: np.ndarray) -> Chart:
    """Draw the values of the tissue before and after.

    Args:
        before: of the input, any shape.
        after: of the result.
    """
    before, after = before.astype(np.float64), after.astype(np.float64)
    low, high = (float(v) for v in np.percentile(before, (0.1, 99.8)))
    high = high if high > low else low + max(abs(low), 1.0)
    edges = _edges(before, low, high)
    low, high = float(edges[0]), float(edges[-1])
    shares = [np.histogram(values, edges)[0] / max(values.size, 1) for values in (before, after)]
    tallest = float(max(share.max() for share in shares)) or 1.0
    curves = [
        Curve(name=name, kind=name, path=_steps(share, tallest))
        for name, share in zip(("before", "after"), shares, strict=True)
    ]
    ticks = [(WIDTH * part, number(low + part * (high - low), 3)) for part in (0.0, 0.25, 0.5, 0.75, 1.0)]
    text = "Distribution of the values in tissue, before and after. Peaks of tissues get narrower, and stay in place."
    return Chart(title="Values in tissue", text=text, unit="in the file's unit", curves=curves, ticks=ticks)


def _edges(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Edges of bins that hold as many grey steps each, so that stored integers leave no gaps between bars."""
    sample = np.unique(values.ravel()[:: sample_step(values.size, _SAMPLE)])
    step = grey_step(sample)
    width = (high - low) / _BINS
    if step < width / 20:
        return np.linspace(low, high, _BINS + 1)
    width = step * max(round(width / step), 1)
    if low == -high:  # a bar in the middle for 0
        half = int(np.ceil(high / width - 0.5))
        return (np.arange(-half, half + 2) - 0.5) * width
    first = sample[0] - step / 2 + step * np.floor((low - sample[0]) / step + 0.5)
    return first + width * np.arange(int(np.ceil((high - first) / width)) + 1)


def _heights(share: np.ndarray, tallest: float) -> np.ndarray:
    return HEIGHT * (1 - 0.96 * share / (tallest or 1.0))


def _line(share: np.ndarray, tallest: float) -> str:
    places = (np.arange(len(share)) + 0.5) * WIDTH / len(share)
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in zip(places, _heights(share, tallest), strict=True))


def _steps(share: np.ndarray, tallest: float) -> str:
    width = WIDTH / len(share)
    path = [f"M0 {HEIGHT}"]
    path += [f"V{y:.1f}H{(i + 1) * width:.1f}" for i, y in enumerate(_heights(share, tallest))]
    return "".join([*path, f"V{HEIGHT}"])
