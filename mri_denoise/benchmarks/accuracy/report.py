"""What ``benchmark accuracy`` writes: CSV, tables, figures, and a record from which the run can be repeated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mri_denoise import record
from mri_denoise.benchmarks.accuracy.run import BIAS_BINS, Failure, VolumeScore
from mri_denoise.benchmarks.accuracy.tables import Table, markdown, result_row, write_csv
from mri_denoise.benchmarks.baselines import NOISY, Method
from mri_denoise.benchmarks.methods import Methods
from mri_denoise.benchmarks.references import Reference
from mri_denoise.benchmarks.scores import select
from mri_denoise.report.charts import new_figure, save_png, tidy
from mri_denoise.report.text import write_text

_OURS = ("#0b5394", "#3d85c6", "#674ea7", "#8e7cc3")
_RIVALS = ("#999999", "#783f04", "#b45f06", "#e69138", "#bf9000", "#38761d", "#6aa84f", "#990000", "#cc0000", "#741b47")
_MARKS = "osv^D<>pXhP*"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The choices of a run, as the record and the tables name them.

    Args:
        seed: of the noise.
        middle: number of slices in the middle that were used; None for whole volumes.
        split: the part of datalists that was used.
    """

    seed: int = 0
    middle: int | None = None
    split: str = "test"


def write_report(
    references: Sequence[Reference],
    methods: Methods,
    scores: Sequence[VolumeScore],
    failures: Sequence[Failure],
    output: Path,
    settings: Settings,
) -> dict[str, object]:
    """Write ``results.csv``, ``bias.csv``, ``tables.md``, ``psnr.png``, ``time.png``, ``bias.png`` and ``record.json``.

    Args:
        references: the truth.
        methods: what was compared, and what is absent.
        scores: at least one.
        failures: what failed.
        output: the folder.
        settings: the choices of the run.

    Returns:
        the record.

    Raises:
        OutputError: if a file cannot be written.
    """
    table = Table(scores=scores, methods=methods.found)
    run = record.run()
    files = [*write_csv(table, output), *write_figures(table, output)]
    facts = _facts(settings, record.describe(run["machine"]))
    files.append(write_text(markdown(table, methods.absent, failures, facts), output / "tables.md"))
    done: dict[str, object] = run | {
        "settings": asdict(settings) | {"levels": table.levels},
        "references": [{"label": r.label, "contrast": r.contrast, "sha256": r.sha256} for r in references],
        "methods": [{"name": m.name, "label": m.label, "ours": m.ours, **m.describe()} for m in methods.found],
        "absent": methods.absent,
        "failed": [asdict(failure) for failure in failures],
        "results": [result_row(score) for score in scores],
        "files": [str(path) for path in files],
    }
    record.write_record(done, output / "record.json")
    return done


def _facts(settings: Settings, machine: str) -> list[str]:
    part = "whole volumes" if settings.middle is None else f"the middle {settings.middle} slices"
    return [
        f"Rician noise of seed {settings.seed} on {part}; sigma in percent of the maximum R. PSNR with the "
        "peak R and mean SSIM (3D, Gaussian window of 1.5 voxels, range R) over the head (above 10/255 R). The true "
        "sigma is given unless a line says otherwise (ANTs takes none). Best in bold; "
        " what ours is short of the best rival in brackets.",
        f"{machine}. Times of a cached result are those of the run that made it.",
    ]


def write_figures(table: Table, folder: Path) -> list[Path]:
    """Write ``psnr.png``, ``time.png`` and ``bias.png``.

    Raises:
        OutputError: if a file cannot be written.
    """
    psnr, time, bias = new_figure(9, 5), new_figure(9, 5), new_figure(11, 6)
    _draw_psnr(table, psnr)
    _draw_time(table, time)
    _draw_bias(table, bias)
    figures = {"psnr.png": psnr, "time.png": time, "bias.png": bias}
    return [save_png(figure, folder / name) for name, figure in figures.items()]


def mean_bias(scores: Sequence[VolumeScore]) -> np.ndarray:
    """Mean error in each bin of the true intensity over all scores, in percent of the maximum; NaN where empty.

    Args:
        scores: of one method at one level.
    """
    total, count = np.zeros(BIAS_BINS), np.zeros(BIAS_BINS)
    for score in scores:
        for number, (error, voxels) in enumerate(score.bias):
            if error is not None:
                total[number] += error * voxels
                count[number] += voxels
    return np.divide(total, count, out=np.full(BIAS_BINS, np.nan), where=count > 0)


def _style(table: Table, method: Method) -> dict[str, Any]:
    """Colour, mark and width of the line of a method: ours are blue to violet, rivals grey to brown."""
    same = [m.name for m in table.methods if m.ours == method.ours]
    number = same.index(method.name)
    colours = _OURS if method.ours else _RIVALS
    width = 2.2 if method.ours else 1.2
    return {"color": colours[number % len(colours)], "marker": _MARKS[number % len(_MARKS)], "linewidth": width}


def _draw_psnr(table: Table, figure: Figure) -> None:
    """The mean gain over the noisy image: in it, methods that are close can be told apart."""
    axes = figure.add_subplot()
    for method in table.methods:
        points = []
        for level in table.levels:
            mean = table.mean("psnr", method.name, level, table.references)
            noisy = table.mean("psnr", NOISY.name, level, table.references)
            if mean is not None and noisy is not None:
                points.append((level, mean - noisy))
        if points:
            axes.plot(*zip(*points, strict=True), label=method.label, markersize=5, **_style(table, method))
    axes.set_xlabel("noise, percent of the maximum")
    axes.set_ylabel("PSNR less that of the noisy image (dB)")
    axes.set_xticks(table.levels)
    tidy(axes)
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)


def _draw_time(table: Table, figure: Figure) -> None:
    """The mean PSNR over all levels and references against seconds a million voxels."""
    axes = figure.add_subplot()
    for method in table.methods:
        own = select(table.scores, method=method.name)
        means = [table.mean("psnr", method.name, level, table.references) for level in table.levels]
        known = [mean for mean in means if mean is not None]
        if method.name == NOISY.name or not own or len(known) < len(means):
            continue
        seconds = float(np.mean([1e6 * score.seconds / score.voxels for score in own]))
        style = _style(table, method) | {"linestyle": "none", "markersize": 9}
        axes.plot([seconds], [float(np.mean(known))], label=method.label, **style)
    axes.set_xscale("log")
    axes.set_xlabel("seconds a million voxels")
    axes.set_ylabel("mean PSNR of all levels (dB)")
    tidy(axes)
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)


def _draw_bias(table: Table, figure: Figure) -> None:
    """The bias of the noisy image, of the best rival and of our first method, one panel a level."""
    columns = min(3, len(table.levels))
    panels = figure.subplots(-(-len(table.levels) // columns), columns, sharex=True, squeeze=False).ravel()
    centres = 100 * (np.arange(BIAS_BINS) + 0.5) / BIAS_BINS
    by_name = {method.name: method for method in table.methods}
    for axes, level in zip(panels, table.levels, strict=False):
        rival = table.best_rival("psnr", level, table.references)
        names = [NOISY.name, *([rival[0]] if rival else []), *([table.main.name] if table.main else [])]
        largest = 0.1
        for name in dict.fromkeys(names):
            bias = mean_bias(select(table.scores, method=name, level=level))
            axes.plot(centres, bias, label=by_name[name].label, markersize=4, **_style(table, by_name[name]))
            if name != NOISY.name and np.isfinite(bias).any():
                largest = max(largest, 1.3 * float(np.nanmax(np.abs(bias))))
        axes.set_ylim(-largest, largest)
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set_title(f"{level:g} %", fontsize=10)
        axes.legend(fontsize=7, frameon=False)
        tidy(axes)
    for axes in panels[len(table.levels) :]:
        axes.set_visible(False)
    figure.supxlabel("true intensity, percent of the maximum", fontsize=10)
    figure.supylabel("mean error, percent of the maximum", fontsize=10)
