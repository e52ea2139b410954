"""How time grows: that of the command with voxels, that of the network with threads and with the batch."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from mri_denoise.benchmarks.progress import SILENT, Progress
from mri_denoise.benchmarks.speed.timing import PROGRAM, Timing, measure_in_turn, run_command
from mri_denoise.benchmarks.speed.volume import make_volume
from mri_denoise.inference.mixed_precision import MixedPrecisionInferer
from mri_denoise.runtime import usable_cores

TINY = (16, 16, 8)


class Point(NamedTuple):
    """The time of one size.

    Args:
        voxels: of the volume.
        seconds: of the fastest repetition.
        peak_bytes: largest resident memory; None where the operating system does not report it.
    """

    voxels: int
    seconds: float
    peak_bytes: int | None


@dataclass(frozen=True, kw_only=True)
class Growth:
    """Time of the whole command against voxels.

    Args:
        start: seconds for a volume of 2048 voxels: the start-up of every run.
        points: each size.
        slope: of the line through log(seconds - start) against log(voxels); 1 is proportional. None for fewer than two
            sizes that take measurably longer than the start-up.
    """

    start: float
    points: tuple[Point, ...]
    slope: float | None


def volume_shape(voxels: float) -> tuple[int, int, int]:
    """A shape of about so many voxels, with slices of at most 512 x 512."""
    side = int(min(max(8 * round(voxels ** (1 / 3) / 8), 16), 512))
    return side, side, max(round(voxels / side**2), 8)


def measure_growth(
    sizes: Sequence[float], model: str, device: str, repetitions: int, progress: Progress = SILENT
) -> Growth:
    """Denoise volumes of several sizes by the command, with one plane.

    Args:
        sizes: numbers of voxels.
        model: name or folder of the bundle.
        device: for the network.
        repetitions: of each size; the fastest counts.
        progress: told which size is measured.
    """
    points = []
    options = ["--overwrite", "--model", model, "--device", device]
    with tempfile.TemporaryDirectory() as folder:
        for shape in (TINY, *map(volume_shape, sizes)):
            progress.say("volume of " + " x ".join(map(str, shape)))
            source, result = make_volume(shape, Path(folder) / "in.nii"), Path(folder) / "out.nii"
            runs = [run_command([*PROGRAM, "denoise", source, result, *options]) for _ in range(repetitions)]
            peak = max((run.peak_bytes for run in runs if run.peak_bytes is not None), default=None)
            points.append(Point(int(np.prod(shape)), min(run.seconds for run in runs), peak))
    start, rest = points[0].seconds, tuple(points[1:])
    return Growth(start=start, points=rest, slope=fit_slope([(p.voxels, p.seconds - start) for p in rest], start))


def fit_slope(points: Sequence[tuple[float, float]], start: float) -> float | None:
    """Fit log(seconds) against log(voxels) by least squares, for points above a fifth of the start-up time.

    Smaller differences come from the start-up of two runs, not from the volumes.

    Args:
        points: voxels and seconds beyond the start-up.
        start: seconds of the start-up.

    Returns:
        the slope; None for fewer than two such points.

    Examples:
        >>> slope = fit_slope([(1e5, 0.1), (1e6, 1.0), (1e7, 10.0)], start=0.0)
        >>> f"{slope:.3f}"
        '1.000'
    """
    known = np.array([(n, seconds) for n, seconds in points if seconds > start / 5])
    if len(known) < 2:
        return None
    return float(np.polyfit(np.log(known[:, 0]), np.log(known[:, 1]), 1)[0])


def measure_batches(
    network: torch.nn.Module,
    channels: int,
    size: int,
    batches: Sequence[int],
    precision: str,
    repetitions: int,
    device: str,
) -> dict[int, Timing]:
    """Time a call for each number of slices at a time.

    Args:
        network: in evaluation mode, on the device.
        channels: of its input.
        size: height and width of the slices.
        batches: numbers of slices.
        precision: of the arithmetic.
        repetitions: see :func:`measure_in_turn`.
        device: where to compute.

    Returns:
        seconds of a call, by the number of slices.
    """
    inferer = MixedPrecisionInferer(precision)
    inputs = {n: torch.rand(n, channels, size, size, device=device) for n in batches}
    with torch.inference_mode():
        calls: dict[str, Callable[[], object]] = {str(n): partial(inferer, x, network) for n, x in inputs.items()}
        return {int(n): timing for n, timing in measure_in_turn(calls, repetitions, device).items()}


def measure_threads(
    network: torch.nn.Module, channels: int, size: int, batch: int, precision: str, repetitions: int
) -> dict[int, Timing]:
    """Time a call on the CPU with 1, 2, 4 ... threads and with as many as there are cores.

    Args:
        network: in evaluation mode.
        channels: of its input.
        size: height and width of the slices.
        batch: number of slices.
        precision: of the arithmetic.
        repetitions: see :func:`measure_in_turn`.

    Returns:
        seconds of a call, by the number of threads.
    """
    cores, before = usable_cores(), torch.get_num_threads()
    counts = sorted({*(2**k for k in range(cores.bit_length()) if 2**k <= cores), cores})
    inferer, x, times = MixedPrecisionInferer(precision), torch.rand(batch, channels, size, size), {}
    try:
        with torch.inference_mode():
            for count in counts:
                torch.set_num_threads(count)
                times[count] = measure_in_turn({"": lambda: inferer(x, network)}, repetitions)[""]
    finally:
        torch.set_num_threads(before)
    return times
