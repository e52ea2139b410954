"""Time functions in this process, and whole commands in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

from mri_denoise.errors import InputError

PROGRAM = (sys.executable, "-m", "mri_denoise.cli.main")
_LAUNCHER = Path(__file__).with_name("launcher.py")


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds of several repetitions.

    Args:
        least: of the fastest repetition, which other work on the machine disturbs least; ratios use it.
        median: of all repetitions.
        repetitions: their number, without a first one that warms up.
    """

    least: float
    median: float
    repetitions: int

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Timing:
        """Summarise at least one duration."""
        return cls(least=min(seconds), median=median(seconds), repetitions=len(seconds))

    def scaled(self, factor: float) -> Timing:
        """The times multiplied by ``factor``: 1000 / slices gives milliseconds a slice."""
        return replace(self, least=self.least * factor, median=self.median * factor)


def measure_in_turn(
    functions: Mapping[str, Callable[[], object]], repetitions: int, device: str = "cpu"
) -> dict[str, Timing]:
    """Time functions against each other: each once to warm up, then all of them in turn in each round.

    They run in turn so that a machine that becomes busy or hot slows all of them, and not the last one alone.

    Args:
        functions: what to call, by name.
        repetitions: number of rounds that count.
        device: where the functions compute; on a GPU the clock waits for its queue.

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


@dataclass(frozen=True, kw_only=True)
class Command:
    """A finished command.

    Args:
        seconds: from its start to its end.
        cpu_seconds: of all of its threads together; None where the operating system does not report it.
        peak_bytes: largest resident memory of the process; None where the operating system does not report it.
        output: its standard output.
    """

    seconds: float
    cpu_seconds: float | None
    peak_bytes: int | None
    output: str

    def last_json(self) -> dict[str, float]:
        """The numbers that the program printed as JSON in its last line."""
        numbers: dict[str, float] = json.loads(self.output.strip().splitlines()[-1])
        return numbers


def run_command(words: Sequence[str | Path], may_fail: bool = False) -> Command:
    """Run a command in a new process and measure it.

    A small program starts it: a process begins with the peak memory of its parent, and this process is large.

    Args:
        words: program and arguments.
        may_fail: whether any exit code is accepted.

    Raises:
        InputError: if the command fails, with the last line of its standard error, or is killed.
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
    """Time a command several times; see :func:`run_command`."""
    return Timing.of([run_command(words, may_fail).seconds for _ in range(repetitions)])
