"""The process that decodes compressed pixels for another one, frame by frame, within limits of memory and time.

It reads a request a line from standard input, as JSON: ``path`` (its bytes in hexadecimal digits), ``frame``,
``memory`` in bytes above what the process has, ``seconds`` of processor time. It answers with a line of JSON:
``error``, or ``dtype`` and ``shape``, followed by the pixels. It ends with its input.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from pydicom.dataset import Dataset

from mri_denoise.errors import InputError
from mri_denoise.io.dicom.dataset import PARSE_ERRORS, error_words
from mri_denoise.io.dicom.native_decoders import decode_native
from mri_denoise.io.dicom.pixels import open_image

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

_opened: dict[str, Any] = {}


def main() -> None:
    """Answer requests until the input ends."""
    out = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # the libraries write there
        os.dup2(nowhere, stream)
    warnings.simplefilter("ignore")
    if resource is not None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold patient data
    _load_libraries()
    _send(out, {"ready": True})
    for line in sys.stdin.buffer:
        _answer(json.loads(line), out)


def _answer(request: dict[str, Any], out: BinaryIO) -> None:
    path = os.fsdecode(bytes.fromhex(request["path"]))
    try:
        ds = _open(path)
        _limit(request["memory"], request["seconds"])
        pixels = np.ascontiguousarray(decode_native(ds, Path(path), request["frame"]))
    except MemoryError:
        _send(out, {"error": "needs far more memory than its pixels do"})
    except (*PARSE_ERRORS, InputError, OSError) as error:
        _send(out, {"error": error_words(error, 400)})
    else:
        _send(out, {"dtype": pixels.dtype.str, "shape": pixels.shape}, pixels.tobytes())


def _open(path: str) -> Dataset:
    """The data set of a file; the last one is kept, for its other frames."""
    found = os.stat(path)
    key = (path, found.st_mtime_ns, found.st_size)
    if _opened.get("key") != key:
        _opened.clear()
        _opened.update(key=key, ds=open_image(Path(path)))
    return _opened["ds"]


def _load_libraries() -> None:
    """Load the decoders before the limits apply."""
    import pydicom.pixels.utils  # noqa: F401

    for name in ("gdcm", "openjpeg", "libjpeg", "rle"):
        with contextlib.suppress(ImportError):
            __import__(name)


def _limit(memory: int, seconds: int) -> None:
    """Set limits for the next frame: address space above what is used now, and time above what was used."""
    if resource is None:
        return
    with contextlib.suppress(OSError, ValueError):  # not Linux: the time is limited all the same
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + memory, hard))
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + 1 + seconds, hard))


def _send(out: BinaryIO, head: dict[str, Any], body: bytes = b"") -> None:
    out.write(json.dumps(head).encode() + b"\n" + body)
    out.flush()
