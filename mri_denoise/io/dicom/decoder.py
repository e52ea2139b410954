"""Decode compressed pixels in a process of its own, so that damaged data cost one image and not the run.

Decoders in C and C++ may crash on damaged data, or take all memory and hours. The process is started when the first
compressed frame comes, stays for those that follow, and is replaced when it has died.
"""

from __future__ import annotations

import atexit
import json
import math
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from multiprocessing import spawn
from pathlib import Path
from typing import Any

import numpy as np

_MEMORY, _TIMES_PIXELS = 64 << 20, 12  # what decoders need: JPEG 2000 has 4 bytes a sample in each of its stages
_SECONDS, _SECONDS_A_MEGAPIXEL = 5, 2
_START_SECONDS = 120.0
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from mri_denoise.io.dicom.decoder_process import main; main()"
)


class DecodingError(ValueError):
    """A frame that could not be decoded; the message says why, in a few words."""


class Decoder:
    """A process that decodes, with the end of the pipe on this side. Threads take turns.

    Args:
        limit_seconds: processor time that a small frame may take.
    """

    def __init__(self, limit_seconds: int = _SECONDS) -> None:
        self._seconds = limit_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._turn = threading.Lock()

    def decode(self, path: Path, frame: int, *, pixels: int, itemsize: int) -> np.ndarray:
        """Decode one frame of a file.

        Args:
            path: the file.
            frame: which, from 0.
            pixels: how many the header says are decoded at once.
            itemsize: bytes of each.

        Returns:
            Integers, shape (rows, columns).

        Raises:
            DecodingError: The data are damaged, or took more memory or time than images do.
        """
        file = path.stat().st_size
        seconds = self._seconds + math.ceil(_SECONDS_A_MEGAPIXEL * pixels / 1e6)
        request = {
            "path": os.fsencode(path).hex(),
            "frame": frame,
            "memory": _MEMORY + _TIMES_PIXELS * pixels * itemsize + 4 * file,
            "seconds": seconds,
        }
        with self._turn:
            process = self._running()
            try:
                head, body = _ask(process, request, 5.0 * seconds + 10)
            except (OSError, EOFError, ValueError) as error:
                raise DecodingError(self._why_dead()) from error
        if "error" in head:
            raise DecodingError(head["error"])
        return np.frombuffer(body, dtype=head["dtype"]).reshape(head["shape"])

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        self._process = subprocess.Popen(
            [os.fsdecode(spawn.get_executable()), "-c", _PROGRAM, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
            start_new_session=True,  # an interrupt from the keyboard is for the parent, which ends it
        )
        try:
            _read(self._process, _START_SECONDS)
        except (OSError, EOFError, ValueError) as error:
            self.close()
            raise DecodingError("the decoder does not start") from error
        return self._process

    def _why_dead(self) -> str:
        """End what is left of the process after an answer that did not come, and say what happened."""
        process = self._process
        code = process.wait() if process is not None else 0
        self.close()
        too_long = (-getattr(signal, "SIGXCPU", 0), -getattr(signal, "SIGKILL", 0))
        return "takes far longer than its pixels do" if code in too_long else "the decoder crashed on damaged data"


def decode_apart(path: Path, frame: int, *, pixels: int, itemsize: int) -> np.ndarray:
    """Decode one frame with the decoder of this process; see `Decoder.decode`."""
    return _decoder.decode(path, frame, pixels=pixels, itemsize=itemsize)


def _ask(process: subprocess.Popen[bytes], request: dict[str, Any], seconds: float) -> tuple[dict[str, Any], bytes]:
    assert process.stdin is not None
    process.stdin.write(json.dumps(request).encode() + b"\n")
    process.stdin.flush()
    return _read(process, seconds)


def _read(process: subprocess.Popen[bytes], seconds: float) -> tuple[dict[str, Any], bytes]:
    """Read an answer; the process is killed if it takes longer."""
    assert process.stdout is not None
    clock = threading.Timer(seconds, process.kill)
    clock.start()
    try:
        line = process.stdout.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        head = json.loads(line)
        size = math.prod(head["shape"]) * np.dtype(head["dtype"]).itemsize if "shape" in head else 0
        body = process.stdout.read(size)
        if len(body) < size:
            raise EOFError
        return head, body
    finally:
        clock.cancel()


_decoder = Decoder()
atexit.register(_decoder.close)
