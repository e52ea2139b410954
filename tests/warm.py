"""Whole commands in processes that have imported everything before, so that they live for less than a second.

Run as a program, this serves requests, one JSON value a line on standard input. An object is a command: a copy of the
process (fork) runs it as `mri-denoise` does, and its identifier goes to standard output. The identifier in turn is
answered by the exit code, when the command has ended.
"""

from __future__ import annotations

import atexit
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
STEPS = ("link", "replace", "rename", "unlink", "mkdir", "rmdir", "fsync")


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What became of a command: its exit code, the negative number of the signal that ended it, and what it said."""

    code: int
    said: str
    seconds: float


class Warm:
    """Starts commands.

    Args:
        folder: for what they say, and for their temporary files (``tmp``).
        warm_up: arguments of a command that is run first, so that everything is loaded.
    """

    def __init__(self, folder: Path, warm_up: list[str]) -> None:
        self.temporary = folder / "tmp"
        self.temporary.mkdir(parents=True)
        self._folder, self._count = folder, 0
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TMPDIR": str(self.temporary)}
        self._process = subprocess.Popen(
            [sys.executable, __file__, json.dumps(warm_up)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None,
            text=True,
            env=environment,
            cwd=ROOT,
        )
        assert self._answer() == "ready"

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def ask(self, request: object) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def start(
        self, *arguments: object, limits: Mapping[str, int] | None = None, signal_at: tuple[int, int] | None = None
    ) -> Running:
        """Start a command.

        Args:
            arguments: of ``mri-denoise``.
            limits: of the system by name; ``{"AS": n}`` is n bytes more than the process has already.
            signal_at: the process sends itself this signal after so many steps on disk.
        """
        self._count += 1
        said = self._folder / f"said{self._count}"
        said.write_text("")
        request = {"arguments": [str(a) for a in arguments], "limits": dict(limits or {}), "signal_at": signal_at}
        return Running(self.ask({**request, "said": str(said)}), self, said)

    def run(self, *arguments: object, **options: Any) -> Ended:
        """Run a command to its end."""
        return self.start(*arguments, **options).wait()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(30)


class Running:
    """A command at work."""

    def __init__(self, pid: int, warm: Warm, said: Path) -> None:
        self.pid, self._warm, self._said, self._begun = pid, warm, said, time.monotonic()

    def signal(self, number: int) -> None:
        """Send a signal; it may have ended before."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait_stopped(self) -> None:
        """Wait until it has stopped itself (SIGSTOP)."""
        while Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            time.sleep(0.01)

    def wait(self) -> Ended:
        code = self._warm.ask(self.pid)
        return Ended(code=code, said=self._said.read_text(), seconds=time.monotonic() - self._begun)


def serve(warm_up: list[str]) -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _run(warm_up)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    print('"ready"', file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if isinstance(request, int):
            answer = os.waitstatus_to_exitcode(os.waitpid(request, 0)[1])
        elif (answer := os.fork()) == 0:
            _child(request)
        print(answer, file=answers, flush=True)


def _child(request: Mapping[str, Any]) -> None:
    os.setsid()
    said = os.open(request["said"], os.O_WRONLY | os.O_APPEND)
    os.dup2(said, 1)
    os.dup2(said, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if request["signal_at"] is not None:
        _signal_after(*request["signal_at"])
    for name, value in request["limits"].items():
        more = _address_space() if name == "AS" else 0
        _, most = resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (more + value, most))
    code = 70
    try:
        code = _run(request["arguments"])
        if "FSIZE" in request["limits"]:  # coverage writes its file at the end
            _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        atexit._run_exitfuncs()  # as at the end of a program
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _run(arguments: list[str]) -> int:
    from mri_denoise.cli.main import app

    try:
        app(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def _signal_after(number: int, steps: int) -> None:
    """Let the process get a signal right after a step on disk."""
    left = [steps]
    for name in STEPS:
        usual = getattr(os, name)

        def step(*arguments: Any, usual: Callable[..., Any] = usual, **options: Any) -> Any:
            done = usual(*arguments, **options)
            left[0] -= 1
            if left[0] == -1:
                # sent to this thread, it comes before the next step; sent to the process, another thread gets it, later
                signal.pthread_kill(threading.get_ident(), number)
            return done

        setattr(os, name, step)


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    serve(json.loads(sys.argv[1]))
