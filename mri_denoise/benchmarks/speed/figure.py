"""The picture of ``benchmark speed``: methods, voxels, threads and batches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mri_denoise.benchmarks.speed.run import Speed
from mri_denoise.io.files import write_beside

_OURS, _RIVALS = "#0b5394", "#999999"


def write_figure(speed: Speed, path: Path) -> Path:
    """Draw a panel for each part that was measured.

    Raises:
        OutputError: if the file cannot be written.
    """
    panels: list[Callable[[Speed, Axes], None]] = []
    panels += [_volumes] if speed.volumes else []
    panels += [_networks] if speed.networks else []
    panels += [_growth] if speed.growth else []
    panels += [_threads] if speed.threads else []
    panels += [_batches] if speed.batches else []
    columns = min(2, max(len(panels), 1))
    rows = max(-(-len(panels) // columns), 1)
    figure = Figure(figsize=(7 * columns, 4.5 * rows), dpi=100, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for draw, one in zip(panels, axes, strict=False):
        draw(speed, one)
        one.grid(color="#e5e5e5")
        one.set_axisbelow(True)
        one.spines[["top", "right"]].set_visible(False)
    for one in axes[len(panels) :]:
        one.set_visible(False)
    with write_beside(path) as partial:
        figure.savefig(partial, format="png")
    return path


def _bars(axes: Axes, values: dict[str, float], ours: tuple[str, ...]) -> None:
    names = sorted(values, key=lambda name: -values[name])
    colours = [_OURS if name.startswith(ours) else _RIVALS for name in names]
    bars = axes.barh(names, [values[name] for name in names], color=colours)
    axes.bar_label(bars, fmt="%.3g", fontsize=8, padding=2)
    axes.set_xscale("log")
    axes.tick_params(axis="y", labelsize=8)


def _volumes(speed: Speed, axes: Axes) -> None:
    _bars(axes, {line.label: line.whole.least for line in speed.volumes}, ("ours", "mri-denoise"))
    axes.set_xlabel("seconds, whole process, " + " x ".join(map(str, speed.shape)) + " voxels")


def _networks(speed: Speed, axes: Axes) -> None:
    values = {f"{n.network}, {n.backend}, {n.precision}": n.best_milliseconds for n in speed.networks}
    _bars(axes, values, ("ours",))
    axes.set_xlabel("milliseconds a slice, best batch")


def _growth(speed: Speed, axes: Axes) -> None:
    assert speed.growth is not None
    voxels, seconds, _ = zip(*speed.growth.points, strict=True)
    axes.loglog(voxels, seconds, "o-", color=_OURS, label="whole command")
    past = [(n, s - speed.growth.start) for n, s, _ in speed.growth.points if s > speed.growth.start]
    if past:
        axes.loglog(*zip(*past, strict=True), "s--", color=_OURS, label="past start-up")
    axes.set_xlabel("voxels")
    axes.set_ylabel("seconds")
    axes.legend(frameon=False, fontsize=8)


def _threads(speed: Speed, axes: Axes) -> None:
    for precision, each in speed.threads.items():
        axes.plot(list(each), [1e3 * t.least / speed.batch for t in each.values()], "o-", label=precision)
    _slices(axes, "threads")


def _batches(speed: Speed, axes: Axes) -> None:
    for precision, each in speed.batches.items():
        axes.plot(list(each), [1e3 * t.least / n for n, t in each.items()], "o-", label=precision)
    _slices(axes, "slices at a time")


def _slices(axes: Axes, label: str) -> None:
    axes.set_xscale("log", base=2)
    axes.set_ylim(bottom=0)
    axes.set_xlabel(label)
    axes.set_ylabel("milliseconds a slice")
    axes.legend(frameon=False, fontsize=8)
