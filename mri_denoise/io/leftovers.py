"""Temporary files and folders with a name of our own, and what runs that were killed have left of them.

A temporary file or folder is locked (flock) as long as its process lives; the system frees the lock when the process
ends, however it ends. What has our name and our owner and can be locked by somebody else was left by a dead run. Where
the system or the file system knows no such locks (Windows, some network drives), nothing is swept.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_PREFIX = "mri-denoise-"
_DONE = ".done"
_PATIENCE = 10.0  # seconds
_NAME = re.compile(rf"\.?{_PREFIX}[0-9a-f]{{16}}(\..*)?")
_swept: set[Path] = set()


class Temporary:
    """A temporary file or folder that is locked until it is closed.

    Args:
        folder: where it is made; it must exist. What dead runs left there is removed first.
        make: makes it: the file or folder of a path that does not exist yet.
        hidden: whether its name begins with a dot.
        suffix: what its name ends in.

    Raises:
        OSError: The operating system refuses.
    """

    def __init__(self, folder: Path, make: Callable[[Path], None], *, hidden: bool = True, suffix: str = "") -> None:
        sweep_once(folder)
        self.path, self._lock, self.closed = Path(), None, False
        claimed = False
        while not claimed:  # somebody who sweeps may be quicker between making and locking
            self.path = folder / f"{'.' if hidden else ''}{_PREFIX}{secrets.token_hex(8)}{suffix}"
            make(self.path)
            self._lock, claimed = _claim(self.path)

    def finish(self) -> None:
        """Give it a name by which `sweep` knows that files with other names, too, are to stay.

        Raises:
            OSError: The operating system refuses.
        """
        done = self.path.with_name(self.path.name + _DONE)
        os.rename(self.path, done)
        self.path = done

    def close(self) -> None:
        """Remove it, if it is still there, and give the lock back."""
        self.closed = True
        with suppress(OSError):
            _remove(self.path)
        if self._lock is not None:
            with suppress(OSError):
                os.close(self._lock)
            self._lock = None


def sweep_once(folder: Path) -> None:
    """Remove what dead runs left in a folder; each folder is looked at once in a process."""
    if folder not in _swept:
        _swept.add(folder)
        sweep(folder)


def sweep(folder: Path) -> list[Path]:
    """Remove temporary files and folders of this package and this user whose process has ended.

    Files outside of such a folder that are the same as one in it, by hard links, were published by a run that did not
    come to its end. They go, too.

    Args:
        folder: only what lies in it directly is looked at.

    Returns:
        What was removed.
    """
    removed: list[Path] = []
    if fcntl is None:
        return removed
    with suppress(OSError):
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            if _NAME.fullmatch(entry.name) and _remove_if_dead(Path(entry.path)):
                removed.append(Path(entry.path))
    return removed


def undo(folder: Path) -> None:
    """Remove what was published from a temporary folder: files beside it with the same path and the same inode.

    Folders that are empty then are removed.

    Args:
        folder: the temporary folder.

    Raises:
        OSError: The operating system refuses.
    """
    for parent, _, names in os.walk(folder):
        for name in names:
            staged = Path(parent, name)
            final = folder.parent / staged.relative_to(folder)
            if staged.lstat().st_nlink > 1 and final.exists() and os.path.samestat(staged.lstat(), final.lstat()):
                final.unlink()
                for empty in final.relative_to(folder.parent).parents[:-1]:
                    with suppress(OSError):
                        (folder.parent / empty).rmdir()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes of this package from publishing in a folder meanwhile.

    Without effect where there are no locks, and after seconds in vain, as another process may be stopped.
    """
    lock = None
    if fcntl is not None:
        with suppress(OSError):
            lock = os.open(folder, os.O_RDONLY)
            until = time.monotonic() + _PATIENCE
            while not _lock_now(lock) and time.monotonic() < until:
                time.sleep(0.02)
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)


def _lock_now(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove_if_dead(path: Path) -> bool:
    try:
        found = path.lstat()
        if found.st_uid != os.getuid() or not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
            return False
        lock = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if stat.S_ISDIR(found.st_mode) and not path.name.endswith(_DONE):
            with locked(path.parent):
                undo(path)
        _remove(path)
    except OSError:  # locked by a process that lives, or no locks here
        return False
    finally:
        os.close(lock)
    return True


def _claim(path: Path) -> tuple[int | None, bool]:
    """Lock a path that was just made; returns the lock, if there are locks, and whether it is ours."""
    if fcntl is None:
        return None, True
    try:
        lock = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None, False
    except OSError:
        return None, True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None, False
    except OSError:
        os.close(lock)
        return None, True
    try:
        return lock, os.path.samestat(path.stat(), os.fstat(lock))
    except OSError:
        os.close(lock)
        return None, False


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
