"""A lock that gives a queue to one node; the system releases it when its last holder ends, however that ends."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mri_denoise.errors import InputError
from mri_denoise.node.disk import FILE_MODE


@contextmanager
def locked(root: Path, wait_seconds: float = 30.0) -> Iterator[IO[bytes]]:
    """Hold the lock of a queue.

    Args:
        root: the queue's folder.
        wait_seconds: how long to wait until the previous node and its denoising process have ended.

    Yields:
        The file of the lock. A child process that inherits it holds the lock until it ends.

    Raises:
        InputError: if the queue is still in use after that time, or the system has no such locks (Windows).
    """
    try:
        import fcntl
    except ImportError as error:
        raise InputError("a node needs Linux or macOS; this system lacks the file locks of POSIX") from error
    with open(root / "lock", "wb", opener=lambda path, flags: os.open(path, flags, FILE_MODE)) as file:
        until = time.monotonic() + wait_seconds
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > until:
                    raise InputError(f"{root}: in use by another node; stop it or choose another") from None
                time.sleep(0.1)
        yield file


def is_running(root: Path) -> bool:
    """Whether a node uses a queue."""
    try:
        with locked(root, wait_seconds=0.0):
            return False
    except InputError:
        return True
