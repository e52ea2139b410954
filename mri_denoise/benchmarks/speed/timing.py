"""Clocks: repetitions in turn in this process, and whole commands in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

from mri_denoise.errors import InputError

_LAUNCHER = Path(__file__).with_name("launcher.py")


@dataclass(frozen=True)
class Timing:
    """Seconds of several repetitions.

    Args:
        least: of the fastest; what else the machine did has slowed this one least, so ratios are made of it.
        median: of all.
        repetitions: how many, a first one that warms up not counted.
    """

    least: float
    median: float
    repetitions: int

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Timing:
        """Summarise at least one duration."""
        return cls(min(seconds), median(seconds), len(seconds))

    def scaled(self, factor: float) -> dict[str, float]:
        """Everything times ``factor``, for records: 1000 / slices gives milliseconds a slice."""
        return asdict(self) | {"least": self.least * factor, "median": self.median * factor}


def measure_in_turn(
    functions: Mapping[str, Callable[[], object]], repetitions: int, device: str = "cpu"
) -> dict[str, Timing]:
    """Time functions against each other: each once to warm up, then all of them in turn, again and again.

    In turn, so that a machine that becomes busy or hot slows all of them and not the last one.

    Args:
        functions: what to call, by name.
        repetitions: rounds that count.
        device: where they compute; on a GPU the clock waits for its queue.

    Returns:
        the times, by name.
    """
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for number in range(repetitions + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            _wait(device)
            if number:
                seconds[name].append(time.perf_counter() - start)
    return {name: Timing.of(values) for name, values in seconds.items()}


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    elif device.startswith("mps"):
        torch.mps.synchronize()


@dataclass(frozen=True)
class Command:
    """A finished command.

    Args:
        seconds: from its start to its end.
        cpu_seconds: of all of its threads together; None where the system does not tell.
        peak_bytes: largest resident memory of the process by the operating system; None where that does not tell.
        output: its standard output.
    """

    seconds: float
    cpu_seconds: float | None
    peak_bytes: int | None
    output: str

    def last_json(self) -> dict[str, Any]:
        """The record that a program printed as its last line."""
        return json.loads(self.output.strip().splitlines()[-1])


def run_command(words: Sequence[str | Path], may_fail: bool = False) -> Command:
    """Run a command in a new process and measure it.

    A small program stands between: a child begins with its parent's peak memory, and this process is large.

    Args:
        words: program and arguments.
        may_fail: whether an exit code other than 0 is as good.

    Raises:
        InputError: if it fails, with the last line of what it said, or is stopped.
    """
    launched = subprocess.run(
        [sys.executable, "-I", str(_LAUNCHER), *map(str, words)], capture_output=True, text=True, check=False
    )
    if launched.returncode:
        raise InputError(f"{' '.join(map(str, words[:4]))}: was stopped.")
    answer: dict[str, Any] = json.loads(launched.stdout)
    if answer.pop("code") != 0 and not may_fail:
        lines = launched.stderr.strip().splitlines()
        raise InputError(f"{' '.join(map(str, words[:4]))}: failed ({lines[-1] if lines else 'no message'}).")
    return Command(**answer)


def run_again(words: Sequence[str | Path], repetitions: int, may_fail: bool = False) -> Timing:
    """Times of a command that is run several times; see :func:`run_command`."""
    return Timing.of([run_command(words, may_fail).seconds for _ in range(repetitions)])
