"""Pictures of a benchmark: PSNR against noise, quality against time, error against intensity."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mri_denoise.benchmarks.accuracy.run import BIAS_BINS
from mri_denoise.benchmarks.accuracy.tables import Table
from mri_denoise.benchmarks.methods import Method
from mri_denoise.io.files import write_beside

_COLOURS = ("#0b5394", "#3d85c6", "#674ea7", "#8e7cc3")  # ours; rivals are grey to brown
_RIVALS = ("#999999", "#783f04", "#b45f06", "#e69138", "#bf9000", "#38761d", "#6aa84f", "#990000", "#cc0000", "#741b47")
_MARKS = "osv^D<>pXhP*"


def write_figures(table: Table, folder: Path) -> list[Path]:
    """Write ``psnr.png``, ``time.png`` and ``bias.png``.

    Raises:
        OutputError: if they cannot be written.
    """
    return [
        _write(lambda figure: _psnr(table, figure), folder / "psnr.png", (9, 5)),
        _write(lambda figure: _time(table, figure), folder / "time.png", (9, 5)),
        _write(lambda figure: _bias(table, figure), folder / "bias.png", (11, 6)),
    ]


def _write(draw: Callable[[Figure], None], path: Path, size: tuple[float, float]) -> Path:
    figure = Figure(figsize=size, dpi=100, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure)
    with write_beside(path) as partial:
        figure.savefig(partial, format="png")
    return path


def _style(table: Table, method: Method) -> dict[str, Any]:
    same = [m.name for m in table.methods if m.ours == method.ours]
    number = same.index(method.name)
    colours = _COLOURS if method.ours else _RIVALS
    width = 2.2 if method.ours else 1.2
    return {"color": colours[number % len(colours)], "marker": _MARKS[number % len(_MARKS)], "linewidth": width}


def _tidy(axes: Axes) -> None:
    axes.grid(color="#e5e5e5")
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _psnr(table: Table, figure: Figure) -> None:
    """Mean gain over the noisy image, so that methods that are close stay apart."""
    axes = figure.add_subplot()
    for method in table.methods:
        points = []
        for level in table.levels:
            mean = table.mean("psnr", method.name, level, table.references)
            noisy = table.mean("psnr", "noisy", level, table.references)
            if mean is not None and noisy is not None:
                points.append((level, mean - noisy))
        if points:
            axes.plot(*zip(*points, strict=True), label=method.label, markersize=5, **_style(table, method))
    axes.set_xlabel("noise, percent of the maximum")
    axes.set_ylabel("PSNR less that of the noisy image (dB)")
    axes.set_xticks(table.levels)
    _tidy(axes)
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)


def _time(table: Table, figure: Figure) -> None:
    """Mean PSNR over all levels and references against seconds a million voxels."""
    axes = figure.add_subplot()
    for method in table.methods:
        own = [score for score in table.scores if score.method == method.name]
        means = [table.mean("psnr", method.name, level, table.references) for level in table.levels]
        known = [mean for mean in means if mean is not None]
        if method.name == "noisy" or not own or len(known) < len(means):
            continue
        seconds = float(np.mean([1e6 * score.seconds / score.voxels for score in own]))
        style = _style(table, method) | {"linestyle": "none", "markersize": 9}
        axes.plot([seconds], [float(np.mean(known))], label=method.label, **style)
    axes.set_xscale("log")
    axes.set_xlabel("seconds a million voxels")
    axes.set_ylabel("mean PSNR of all levels (dB)")
    _tidy(axes)
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)


def mean_bias(table: Table, method: str, level: float) -> np.ndarray:
    """Mean error in each bin of the true intensity over all references, in percent of the maximum; NaN where empty."""
    total, count = np.zeros(BIAS_BINS), np.zeros(BIAS_BINS)
    for score in table.scores:
        if score.method == method and score.level == level:
            for number, (error, voxels) in enumerate(score.bias):
                if error is not None:
                    total[number] += error * voxels
                    count[number] += voxels
    return np.divide(total, count, out=np.full(BIAS_BINS, np.nan), where=count > 0)


def _bias(table: Table, figure: Figure) -> None:
    """The noisy image, the best rival and our first line, a panel a level."""
    columns = min(3, len(table.levels))
    panels = figure.subplots(-(-len(table.levels) // columns), columns, sharex=True, squeeze=False).ravel()
    centres = 100 * (np.arange(BIAS_BINS) + 0.5) / BIAS_BINS
    by_name = {method.name: method for method in table.methods}
    for axes, level in zip(panels, table.levels, strict=False):
        rival = table.best_rival("psnr", level, table.references)
        names = ["noisy", *([rival[0]] if rival else []), *([table.main.name] if table.main else [])]
        largest = 0.1
        for name in dict.fromkeys(names):
            bias = mean_bias(table, name, level)
            axes.plot(centres, bias, label=by_name[name].label, markersize=4, **_style(table, by_name[name]))
            if name != "noisy" and np.isfinite(bias).any():
                largest = max(largest, 1.3 * float(np.nanmax(np.abs(bias))))
        axes.set_ylim(-largest, largest)
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set_title(f"{level:g} %", fontsize=10)
        axes.legend(fontsize=7, frameon=False)
        _tidy(axes)
    for axes in panels[len(table.levels) :]:
        axes.set_visible(False)
    figure.supxlabel("true intensity, percent of the maximum", fontsize=10)
    figure.supylabel("mean error, percent of the maximum", fontsize=10)
