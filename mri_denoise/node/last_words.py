"""Why the denoising process ended, from what it wrote on standard error, without what that may quote of an image.

Libraries put values of headers into their messages. So the kind of the error and its place in the code are kept, which
say enough to find a fault, and no other text; as :mod:`~mri_denoise.node.log` does for warnings.
"""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from typing import IO

_LONGEST = 4096  # bytes of a line; what follows counts as another one
_WAIT = 2.0  # seconds for the last line, where a process that was started by this one still holds the pipe
_FRAME = re.compile(r'\s+File "(?:[^"]*[/\\])?([\w.-]+\.py)", line (\d+)')
_ERROR = re.compile(r"((?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*)(?:: (.*))?$")
_IMPORT = re.compile(r"(?:No module named|cannot import name) '[\w.]+'")  # names of code alone
_FATAL = re.compile(r"Fatal Python error: [A-Za-z ]+|terminate called after throwing an instance of '[\w:]+'")


class LastWords:
    """Reads a process's standard error to its end, in a thread, so that the process never waits for a reader.

    Args:
        stream: the standard error; closed at its end.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._error, self._place = "", ""
        self._in_traceback = self._deepest_first = False
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def say(self) -> str:
        """Say what was last raised, and where, as ``": ValueError at guard.py:33"``; empty if nothing is known.

        The process must have ended.
        """
        self._thread.join(_WAIT)
        place = f" at {self._place}" if self._place else ""
        return f": {self._error}{place}" if self._error else ""

    def _read(self, stream: IO[bytes]) -> None:
        with stream, suppress(OSError, ValueError):
            while line := stream.readline(_LONGEST):
                self._take(line.decode("utf-8", "replace").rstrip())

    def _take(self, line: str) -> None:
        """Follow tracebacks, of exceptions and of signals, from line to line."""
        if line == "Traceback (most recent call last):":
            self._in_traceback, self._deepest_first, self._error, self._place = True, False, "", ""
        elif fatal := _FATAL.match(line):
            self._error, self._place, self._in_traceback = fatal[0], "", False
        elif line.endswith("(most recent call first):"):
            self._deepest_first = not self._place
        elif frame := _FRAME.match(line):
            if self._in_traceback or self._deepest_first:
                self._place, self._deepest_first = f"{frame[1]}:{frame[2]}", False
        elif self._in_traceback and line and not line[0].isspace():
            self._in_traceback = False
            if found := _ERROR.match(line):
                known = _IMPORT.match(found[2] or "") if found[1] in ("ImportError", "ModuleNotFoundError") else None
                self._error = f"{found[1]} ({known[0]})" if known else found[1]
