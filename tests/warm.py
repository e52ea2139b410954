"""Whole commands in processes that have imported everything before, so that they live for less than a second.

Run as a program, this serves requests: one JSON object a line on standard input. For each, a copy of the process (fork)
runs the command as `mri-denoise` does, and its identifier goes to standard output; at its end, its exit code.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
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
        self._said = folder / "said"
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

    def start(
        self, *arguments: object, limits: Mapping[str, int] | None = None, kill_at: int | None = None, user: int = 0
    ) -> Running:
        """Start a command.

        Args:
            arguments: of ``mri-denoise``.
            limits: of the system by name; ``{"AS": n}`` is n bytes more than the process has already.
            kill_at: the process ends itself by SIGKILL after so many steps on disk.
            user: its identifier of a user.
        """
        self._said.write_text("")
        request = {"arguments": [str(a) for a in arguments], "limits": dict(limits or {}), "kill_at": kill_at}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({**request, "said": str(self._said), "user": user}) + "\n")
        self._process.stdin.flush()
        return Running(self._answer(), self._answer, self._said)

    def run(self, *arguments: object, **options: Any) -> Ended:
        """Run a command to its end."""
        return self.start(*arguments, **options).wait()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(30)


class Running:
    """A command at work."""

    def __init__(self, pid: int, answer: Callable[[], Any], said: Path) -> None:
        self.pid, self._answer, self._said, self._begun = pid, answer, said, time.monotonic()

    def signal(self, number: int) -> None:
        """Send a signal; it may have ended before."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self) -> Ended:
        code = self._answer()
        return Ended(code=code, said=self._said.read_text(), seconds=time.monotonic() - self._begun)


def serve(warm_up: list[str]) -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _run(warm_up)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    print('"ready"', file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _child(request)
        print(pid, file=answers, flush=True)
        _, status = os.waitpid(pid, os.WUNTRACED)
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)


def _child(request: Mapping[str, Any]) -> None:
    os.setsid()
    said = os.open(request["said"], os.O_WRONLY | os.O_APPEND)
    os.dup2(said, 1)
    os.dup2(said, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if request["kill_at"] is not None:
        _end_after(request["kill_at"])
    if request["user"]:
        os.setuid(request["user"])
    for name, value in request["limits"].items():
        more = _address_space() if name == "AS" else 0
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (more + value, more + value))
    code = 70
    try:
        code = _run(request["arguments"])
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


def _end_after(steps: int) -> None:
    """Let the process be killed right after a step on disk."""
    left = [steps]
    for name in STEPS:
        usual = getattr(os, name)

        def step(*arguments: Any, usual: Callable[..., Any] = usual, **options: Any) -> Any:
            done = usual(*arguments, **options)
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return done

        setattr(os, name, step)


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    serve(json.loads(sys.argv[1]))
