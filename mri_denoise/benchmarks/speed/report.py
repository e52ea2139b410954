"""What ``benchmark speed`` writes: ``speed.json``, ``speed.md`` and ``speed.png``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from matplotlib.axes import Axes

from mri_denoise import record
from mri_denoise.benchmarks.speed.machine import Peak
from mri_denoise.benchmarks.speed.network import NetworkLine
from mri_denoise.benchmarks.speed.run import Settings, Speed
from mri_denoise.benchmarks.speed.scaling import Growth
from mri_denoise.benchmarks.speed.timing import Timing
from mri_denoise.benchmarks.speed.volume import VolumeLine
from mri_denoise.report.charts import new_figure, save_png, tidy
from mri_denoise.report.text import bullets, markdown_table, write_text

Calls = Mapping[str, Mapping[int, Timing]]  # seconds of a call by precision and by a number
_OURS, _RIVALS = "#0b5394", "#999999"


def write_speed(speed: Speed, settings: Settings, output: Path) -> dict[str, object]:
    """Write the record, the tables and the figure.

    Args:
        speed: what was measured.
        settings: the choices of the run.
        output: the folder.

    Returns:
        the record.

    Raises:
        OutputError: if a file cannot be written.
    """
    run = record.run()
    done: dict[str, object] = run | {"settings": settings.as_dict(), **asdict(speed)}
    write_text(markdown(speed, record.describe(run["machine"]), settings.device), output / "speed.md")
    write_figure(speed, output / "speed.png")
    record.write_record(done, output / "speed.json")
    return done


def markdown(speed: Speed, machine: str, device: str) -> str:
    """Format all tables; parts that were left out are missing.

    Args:
        speed: what was measured.
        machine: in words.
        device: of the networks.
    """
    parts = [
        "# Speed",
        f"{machine}; networks on {device}. The fastest repetition "
        "counts, the median stands behind it where there is room; ratios are of the fastest. Times of different runs "
        "or machines do not compare.",
    ]
    parts += ["## Network alone", _network_table(speed.networks)] if speed.networks else []
    parts += ["## One volume", _volume_table(speed.volumes, speed.shape)] if speed.volumes else []
    parts += ["## Start-up", _start_table(speed.starts)] if speed.starts else []
    parts += ["## The machine at best", _peak_table(list(speed.peaks.values()))] if speed.peaks else []
    parts += ["## Voxels", _growth_table(speed.growth)] if speed.growth else []
    parts += ["## Threads", _call_table(speed.threads, "threads", speed.batch)] if speed.threads else []
    parts += ["## Batch", _call_table(speed.batches, "slices", None)] if speed.batches else []
    if speed.absent:
        parts += ["## Absent", bullets(f"{label}: {hint}" for label, hint in speed.absent.items())]
    return "\n\n".join(parts) + "\n"


def _optional(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def _network_table(lines: Sequence[NetworkLine]) -> str:
    rows = [
        [
            line.network,
            f"{line.backend}, {line.precision}",
            f"{line.gflop:.3g}",
            f"{line.milliseconds.least:.1f} ({line.milliseconds.median:.1f})",
            f"{line.best_milliseconds:.1f} in {line.best_batch}",
            _optional(line.dncnn_ratio, "{:.2f}"),
            f"{line.gflops:.0f}",
            _optional(None if line.share is None else 100 * line.share, "{:.0f} %"),
            f"{line.preparation:.1f}",
            _optional(min(line.psnr_change.values(), default=None), "{:+.4f}"),
        ]
        for line in lines
    ]
    header = [
        "network", "backend", "GFLOP a slice", "ms a slice, batch of 4 (median)", "ms a slice, best batch",
        "DnCNN takes times", "GFLOP/s", "of the best convolution", "s to prepare", "worst change of PSNR (dB)",
    ]  # fmt: skip
    return markdown_table(header, rows)


def _volume_table(lines: Sequence[VolumeLine], shape: Sequence[int]) -> str:
    timed = [(line.label, line.call.least) for line in lines if line.call is not None]
    first, fastest = timed[0] if timed else ("-", 1.0)
    rows = []
    for line in lines:
        call = None if line.call is None else line.call.least
        whole = f"{line.whole.least:.2f} ({line.whole.median:.2f}, {line.whole.repetitions})"
        ratios = (None if call is None else call / fastest, line.whole.least / lines[0].whole.least)
        rows.append(
            [
                line.label,
                _optional(call, "{:.2f}"),
                _optional(ratios[0], "{:.2f}"),
                whole,
                f"{ratios[1]:.2f}",
                _optional(line.cpu_seconds, "{:.1f}"),
                _mebibytes(line.peak_bytes),
            ]
        )
    header = [
        "method", "s, array to array", f"times {first}", "s, whole process (median, repetitions)",
        f"times {lines[0].label}", "s of processor time", "peak memory (MiB)",
    ]  # fmt: skip
    voxels = " x ".join(map(str, shape))
    note = f"{voxels} voxels, file to file; all were given the same estimated noise level."
    return f"{note}\n\n{markdown_table(header, rows)}"


def _mebibytes(size: int | None) -> str:
    return _optional(None if size is None else size / 2**20, "{:.0f}")


def _start_table(starts: Mapping[str, Timing]) -> str:
    rows = [[f"`{words}`", f"{timing.least:.2f} ({timing.median:.2f})"] for words, timing in starts.items()]
    return markdown_table(["command", "s (median)"], rows)


def _peak_table(peaks: Sequence[Peak]) -> str:
    names = list(peaks[0].convolutions)
    header = ["precision", "matrix product", *(f"3x3, {name}" for name in names)]
    rows = [
        [peak.precision, f"{peak.matrix_gflops:.0f}", *(f"{peak.convolutions[name]:.0f}" for name in names)]
        for peak in peaks
    ]
    return "GFLOP/s; convolutions: images x channels x size, `channels_last`.\n\n" + markdown_table(header, rows)


def _growth_table(growth: Growth) -> str:
    rows = []
    for voxels, seconds, peak in growth.points:
        past = 1e6 * (seconds - growth.start) / voxels  # not shown where the start-up varies by more
        rows.append([f"{voxels:.3g}", f"{seconds:.2f}", f"{past:.3f}" if past > 0 else "-", _mebibytes(peak)])
    slope = "not known" if growth.slope is None else f"{growth.slope:.3f}"
    head = (
        f"`mri-denoise denoise`. With next to no voxels it takes {growth.start:.2f} s; past that the "
        f"slope of log(seconds) against log(voxels) is {slope} (1 is proportional)."
    )
    table = markdown_table(["voxels", "s", "s a million voxels past the start", "peak memory (MiB)"], rows)
    return f"{head}\n\n{table}"


def _call_table(times: Calls, what: str, batch: int | None) -> str:
    """Milliseconds a slice, and how many times faster than in the first column."""
    counts = list(next(iter(times.values())))
    rows = []
    for precision, each in times.items():
        values = [each[n].least / (batch or n) for n in counts]
        rows.append([precision, *(f"{1e3 * value:.1f} ({values[0] / value:.2f}x)" for value in values)])
    return markdown_table([f"ms a slice, {what}:", *map(str, counts)], rows)


def write_figure(speed: Speed, path: Path) -> Path:
    """Draw a panel for each part that was measured.

    Raises:
        OutputError: if the file cannot be written.
    """
    panels: list[Callable[[Axes], None]] = []
    panels += [lambda axes: _draw_volumes(axes, speed.volumes, speed.shape)] if speed.volumes else []
    panels += [lambda axes: _draw_networks(axes, speed.networks)] if speed.networks else []
    growth = speed.growth
    panels += [lambda axes: _draw_growth(axes, growth)] if growth else []
    panels += [lambda axes: _draw_calls(axes, speed.threads, "threads", speed.batch)] if speed.threads else []
    panels += [lambda axes: _draw_calls(axes, speed.batches, "slices at a time", None)] if speed.batches else []
    columns = min(2, max(len(panels), 1))
    rows = max(-(-len(panels) // columns), 1)
    figure = new_figure(7 * columns, 4.5 * rows)
    every = figure.subplots(rows, columns, squeeze=False).ravel()
    for draw, axes in zip(panels, every, strict=False):
        draw(axes)
        tidy(axes)
    for axes in every[len(panels) :]:
        axes.set_visible(False)
    return save_png(figure, path)


def _draw_bars(axes: Axes, values: Mapping[str, float], ours: tuple[str, ...], label: str) -> None:
    names = sorted(values, key=lambda name: -values[name])
    colours = [_OURS if name.startswith(ours) else _RIVALS for name in names]
    bars = axes.barh(names, [values[name] for name in names], color=colours)
    axes.bar_label(bars, fmt="%.3g", fontsize=8, padding=2)
    axes.set_xscale("log")
    axes.tick_params(axis="y", labelsize=8)
    axes.set_xlabel(label)


def _draw_volumes(axes: Axes, lines: Sequence[VolumeLine], shape: Sequence[int]) -> None:
    seconds = {line.label: line.whole.least for line in lines}
    voxels = " x ".join(map(str, shape))
    _draw_bars(axes, seconds, ("ours", "mri-denoise"), f"seconds, whole process, {voxels} voxels")


def _draw_networks(axes: Axes, lines: Sequence[NetworkLine]) -> None:
    values = {f"{n.network}, {n.backend}, {n.precision}": n.best_milliseconds for n in lines}
    _draw_bars(axes, values, ("ours",), "milliseconds a slice, best batch")


def _draw_growth(axes: Axes, growth: Growth) -> None:
    voxels, seconds, _ = zip(*growth.points, strict=True)
    axes.loglog(voxels, seconds, "o-", color=_OURS, label="whole command")
    past = [(n, s - growth.start) for n, s, _ in growth.points if s > growth.start]
    if past:
        axes.loglog(*zip(*past, strict=True), "s--", color=_OURS, label="past start-up")
    axes.set_xlabel("voxels")
    axes.set_ylabel("seconds")
    axes.legend(frameon=False, fontsize=8)


def _draw_calls(axes: Axes, times: Calls, label: str, batch: int | None) -> None:
    for precision, each in times.items():
        values = [1e3 * timing.least / (batch or n) for n, timing in each.items()]
        axes.plot(list(each), values, "o-", label=precision)
    axes.set_xscale("log", base=2)
    axes.set_ylim(bottom=0)
    axes.set_xlabel(label)
    axes.set_ylabel("milliseconds a slice")
    axes.legend(frameon=False, fontsize=8)
