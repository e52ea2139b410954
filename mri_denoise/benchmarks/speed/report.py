"""What ``benchmark speed`` leaves in its folder: ``speed.json``, ``speed.md`` and ``speed.png``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mri_denoise import record as provenance
from mri_denoise.benchmarks.speed.figure import write_figure
from mri_denoise.benchmarks.speed.run import Speed, as_record
from mri_denoise.benchmarks.speed.timing import Timing
from mri_denoise.report.text import markdown_table, write_text


def write_speed(speed: Speed, output: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Write the record, the tables and the picture.

    Args:
        speed: what was measured.
        output: the folder.
        settings: of the run.

    Returns:
        the record.

    Raises:
        OutputError: if they cannot be written.
    """
    record = as_record(speed, settings)
    write_text(markdown(speed, record), output / "speed.md")
    write_figure(speed, output / "speed.png")
    provenance.write_record(record, output / "speed.json")
    return record


def markdown(speed: Speed, record: dict[str, Any]) -> str:
    """All tables; parts that were left out are missing."""
    parts = [
        "# Speed",
        f"{provenance.describe(record['machine'])}; networks on {record['settings']['device']}. The fastest repetition "
        "counts, the median stands behind it where there is room; ratios are of the fastest. Times of different runs "
        "or machines do not compare.",
    ]
    parts += ["## Network alone", _networks(speed)] if speed.networks else []
    parts += ["## One volume", _volumes(speed)] if speed.volumes else []
    parts += ["## Start-up", _starts(speed)] if speed.starts else []
    parts += ["## The machine at best", _machine(speed)] if speed.peaks else []
    parts += ["## Voxels", _growth(speed)] if speed.growth else []
    parts += ["## Threads", _calls(speed.threads, "threads", speed.batch)] if speed.threads else []
    parts += ["## Batch", _calls(speed.batches, "slices", None)] if speed.batches else []
    if speed.absent:
        parts += ["## Absent", "\n".join(f"- {label}: {hint}" for label, hint in speed.absent.items())]
    return "\n\n".join(parts) + "\n"


def _networks(speed: Speed) -> str:
    rows = []
    for line in speed.networks:
        worst = min(line.psnr_change.values(), default=None)
        rows.append([
            line.network, f"{line.backend}, {line.precision}", f"{line.gflop:.3g}",
            f"{line.milliseconds['least']:.1f} ({line.milliseconds['median']:.1f})",
            f"{line.best_milliseconds:.1f} in {line.best_batch}",
            "-" if line.dncnn_ratio is None else f"{line.dncnn_ratio:.2f}",
            f"{line.gflops:.0f}", "-" if line.share is None else f"{100 * line.share:.0f} %",
            f"{line.preparation:.1f}", "-" if worst is None else f"{worst:+.4f}",
        ])  # fmt: skip
    header = [
        "network", "backend", "GFLOP a slice", "ms a slice, batch of 4 (median)", "ms a slice, best batch",
        "DnCNN takes times", "GFLOP/s", "of the best convolution", "s to prepare", "worst change of PSNR (dB)",
    ]  # fmt: skip
    return markdown_table(header, rows)


def _volumes(speed: Speed) -> str:
    first = next((line for line in speed.volumes if line.call is not None), None)
    rows = []
    for line in speed.volumes:
        whole = f"{line.whole.least:.2f} ({line.whole.median:.2f}, {line.whole.repetitions})"
        call = "-" if line.call is None else f"{line.call.least:.2f}"
        ratio = "-" if line.call is None or first is None else f"{line.call.least / _call(first):.2f}"
        rows.append([line.label, call, ratio, whole, f"{line.whole.least / speed.volumes[0].whole.least:.2f}",
                     "-" if line.cpu_seconds is None else f"{line.cpu_seconds:.1f}",
                     "-" if line.peak_bytes is None else f"{line.peak_bytes / 2**20:.0f}"])  # fmt: skip
    shape = " x ".join(map(str, speed.shape))
    named = "-" if first is None else first.label
    header = [
        "method", "s, array to array", f"times {named}", "s, whole process (median, repetitions)",
        f"times {speed.volumes[0].label}", "s of processor time", "peak memory (MiB)",
    ]  # fmt: skip
    return f"{shape} voxels, file to file; all were given the same estimated noise level.\n\n" + markdown_table(
        header, rows
    )


def _call(line: Any) -> float:
    return float(line.call.least)


def _starts(speed: Speed) -> str:
    rows = [[f"`{words}`", f"{timing.least:.2f} ({timing.median:.2f})"] for words, timing in speed.starts.items()]
    return markdown_table(["command", "s (median)"], rows)


def _machine(speed: Speed) -> str:
    names = list(next(iter(speed.peaks.values())).convolutions)
    header = ["precision", "matrix product", *(f"3x3, {name}" for name in names)]
    rows = [
        [p.precision, f"{p.matrix_gflops:.0f}", *(f"{p.convolutions[name]:.0f}" for name in names)]
        for p in speed.peaks.values()
    ]
    return "GFLOP/s; convolutions: images x channels x size, `channels_last`.\n\n" + markdown_table(header, rows)


def _growth(speed: Speed) -> str:
    assert speed.growth is not None
    rows = [
        [f"{voxels:.3g}", f"{seconds:.2f}", _past(1e6 * (seconds - speed.growth.start) / voxels),
         "-" if peak is None else f"{peak / 2**20:.0f}"]
        for voxels, seconds, peak in speed.growth.points
    ]  # fmt: skip
    slope = "not known" if speed.growth.slope is None else f"{speed.growth.slope:.3f}"
    head = (
        f"`mri-denoise denoise --planes 1`. With next to no voxels it takes {speed.growth.start:.2f} s; past that the "
        f"slope of log(seconds) against log(voxels) is {slope} (1 is proportional)."
    )
    return (
        head + "\n\n" + markdown_table(["voxels", "s", "s a million voxels past the start", "peak memory (MiB)"], rows)
    )


def _past(seconds: float) -> str:
    """What is less than the start-up's own variation is not shown as negative."""
    return f"{seconds:.3f}" if seconds > 0 else "-"


def _calls(times: dict[str, dict[int, Timing]], what: str, batch: int | None) -> str:
    """Milliseconds a slice, and how many times faster than the first column."""
    counts = list(next(iter(times.values())))
    rows = []
    for precision, each in times.items():
        slices = {n: batch or n for n in counts}
        first = each[counts[0]].least / slices[counts[0]]
        values = {n: each[n].least / slices[n] for n in counts}
        rows.append([precision, *(f"{1e3 * v:.1f} ({first / v:.2f}x)" for v in values.values())])
    return markdown_table([f"ms a slice, {what}:", *map(str, counts)], rows)
