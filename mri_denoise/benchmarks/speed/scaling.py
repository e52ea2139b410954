"""How time grows: with voxels (of the whole command), with threads and with the batch (of the network)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from mri_denoise.benchmarks.speed.timing import Timing, measure_in_turn, run_command
from mri_denoise.benchmarks.speed.volume import PROGRAM, make_volume
from mri_denoise.inference.mixed_precision import MixedPrecisionInferer
from mri_denoise.runtime import usable_cores

TINY = (16, 16, 8)


@dataclass(frozen=True)
class Growth:
    """Time of the whole command against voxels.

    Args:
        start: seconds of a volume of 2048 voxels: what every run pays.
        points: voxels, seconds and peak memory in bytes (None where the system does not tell) of each size.
        slope: of the line through log(seconds - start) against log(voxels); 1 is proportional. None for fewer than two
            sizes that take measurably longer than the start.
    """

    start: float
    points: tuple[tuple[int, float, int | None], ...]
    slope: float | None


def volume_shape(voxels: float) -> tuple[int, int, int]:
    """Slices as large as usual, at most 512 x 512, and as many as it takes."""
    side = int(min(max(8 * round(voxels ** (1 / 3) / 8), 16), 512))
    return side, side, max(round(voxels / side**2), 8)


def measure_growth(
    sizes: Sequence[float],
    model: str,
    device: str,
    repetitions: int,
    say: Callable[[str], None] = lambda what: None,
) -> Growth:
    """Denoise volumes of several sizes by the command, one plane.

    Args:
        sizes: voxels.
        model: name or folder of the bundle.
        device: for the network.
        repetitions: of each; the fastest counts.
        say: told what begins.
    """
    points = []
    with tempfile.TemporaryDirectory() as folder:
        for shape in (TINY, *map(volume_shape, sizes)):
            say("volume of " + " x ".join(map(str, shape)))
            source = make_volume(shape, Path(folder) / "in.nii")
            words: list[str | Path] = [
                *PROGRAM,
                "denoise",
                source,
                Path(folder) / "out.nii",
                "--overwrite",
                "--planes",
                "1",
            ]
            runs = [run_command([*words, "--model", model, "--device", device]) for _ in range(repetitions)]
            peak = max((run.peak_bytes for run in runs if run.peak_bytes is not None), default=None)
            points.append((int(np.prod(shape)), min(run.seconds for run in runs), peak))
    (_, start, _), *rest = points
    return Growth(start, tuple(rest), fit_slope([(n, seconds - start) for n, seconds, _ in rest], start))


def fit_slope(points: Sequence[tuple[float, float]], start: float) -> float | None:
    """Slope of log(seconds) against log(voxels) by least squares, of points above a fifth of the start-up time.

    Below that the difference is that of two runs' start-up, not of the volumes.

    Args:
        points: voxels and seconds past start-up.
        start: seconds of start-up.
    """
    known = np.array([(n, seconds) for n, seconds in points if seconds > start / 5])
    if len(known) < 2:
        return None
    return float(np.polyfit(np.log(known[:, 0]), np.log(known[:, 1]), 1)[0])


def measure_batches(
    network: torch.nn.Module, channels: int, size: int, batches: Sequence[int], precision: str, repetitions: int,
    device: str,
) -> dict[int, Timing]:  # fmt: skip
    """Seconds of a call for each number of slices at a time."""
    inferer = MixedPrecisionInferer(precision)
    inputs = {n: torch.rand(n, channels, size, size, device=device) for n in batches}
    with torch.inference_mode():
        calls: dict[str, Callable[[], object]] = {str(n): partial(inferer, x, network) for n, x in inputs.items()}
        return {int(n): timing for n, timing in measure_in_turn(calls, repetitions, device).items()}


def measure_threads(
    network: torch.nn.Module, channels: int, size: int, batch: int, precision: str, repetitions: int
) -> dict[int, Timing]:
    """Seconds of a call on the CPU with 1, 2, 4 ... threads and with as many as there are cores."""
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
