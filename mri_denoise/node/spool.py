"""The queue on disk. A series is a folder; the folder it lies in is its state, and a rename moves it on.

``incoming``  images arrive        ``ready``   complete, waits for the worker     ``working``  being denoised
``outgoing``  waits for sending    ``done``    sent, kept for a while             ``failed``   kept until somebody acts

A series folder is named by its Series Instance UID and holds ``source/UID.dcm``, later ``derived/``, ``sent.log``
(`ledger`) and ``job.json``. Killed at any point, the next start finds every series in exactly one place, or (while
images that came late are put together with those of before) in two that are put together again.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import threading
import time
from pathlib import Path
from typing import Any

from mri_denoise.errors import InputError
from mri_denoise.node import disk, ledger

STATES = ("incoming", "ready", "working", "outgoing", "done", "failed")
COMMITMENTS = "commitments"
_RECEIVING, _TRASH, _COMPLETE, _JOB = "receiving", "trash", "complete", "job.json"
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_GB = 1e9


def is_uid(text: str) -> bool:
    """Whether a text is made like a UID: at most 64 digits and dots; nothing else becomes the name of a file."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


class Spool:
    """The states of a node's series; safe to call from several threads.

    Args:
        root: the folder; it is made if missing, its parent is not.
        queue_gb: GB that all files together may take.
        free_gb: GB that stay free on the disk.

    Raises:
        InputError: if the folder cannot be made.
    """

    def __init__(self, root: Path, queue_gb: float = 50.0, free_gb: float = 0.0) -> None:
        self.root, self._queue_bytes, self._free_bytes = root, queue_gb * _GB, free_gb * _GB
        self._lock = threading.RLock()
        self._last: dict[str, float] = {}
        self._open: dict[str, set[object]] = {}
        self._used, self._measured = 0, -1e9
        self._started = time.monotonic()
        try:
            for name in ("", *STATES, _RECEIVING, _TRASH, COMMITMENTS):
                disk.make_folder(root / name)
        except OSError as error:
            raise InputError(f"{root}: cannot hold the queue ({error.strerror}); choose another spool") from error

    def recover(self) -> None:
        """Put back what was under way when the node last ended. Only with the lock held."""
        for name in (_RECEIVING, _TRASH):
            for left in (self.root / name).iterdir():
                if left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink()
        for left in (*self.root.glob("*/.*.tmp"), *self.root.glob("*/*/.*.tmp")):
            left.unlink()
        for series in self.series("working"):
            self.give_back(series)

    def folder(self, state: str, series: str) -> Path:
        """Where a series is in a state."""
        return self.root / state / series

    def series(self, state: str) -> list[str]:
        """Series in a state, the longest unchanged first."""
        found = []
        for entry in os.scandir(self.root / state):
            if is_uid(entry.name):
                try:
                    found.append((entry.stat().st_mtime, entry.name))
                except FileNotFoundError:  # moved on meanwhile
                    continue
        return [name for _, name in sorted(found)]

    def sources(self, state: str, series: str) -> list[Path]:
        """Images received of a series, by name."""
        return sorted((self.folder(state, series) / "source").glob("*.dcm"))

    def held(self) -> set[str]:
        """The images, by SOP Instance UID, that lie in the queue in any state."""
        with self._lock:
            return {path.stem for state in STATES for path in (self.root / state).glob("*/source/*.dcm")}

    # receiving

    def new_partial(self) -> Path:
        """A name for an image that is being received."""
        return self.root / _RECEIVING / f"{secrets.token_hex(16)}.part"

    def is_full(self) -> str | None:
        """Why no further image can be taken, or None."""
        with self._lock:
            if time.monotonic() - self._measured > 20.0:
                self._used, self._measured = disk.size(self.root), time.monotonic()
            if self._used > self._queue_bytes:
                return "queue is full"
        return "disk is full" if shutil.disk_usage(self.root).free < self._free_bytes else None

    def store(self, partial: Path, series: str, instance: str, association: object) -> bool:
        """Take an image that is whole and synced into the queue; it lasts when this returns.

        Args:
            partial: the file, on the queue's file system.
            series: Series Instance UID.
            instance: SOP Instance UID.
            association: any object that stands for the association, until `closed`.

        Returns:
            False if the series already waits with this very image, which then stays.
        """
        if not is_uid(series) or not is_uid(instance):
            raise ValueError(f"no UID: {series!r}, {instance!r}")
        with self._lock:
            self._last[series] = time.monotonic()
            self._open.setdefault(series, set()).add(association)
            folder = disk.make_folder(self.folder("incoming", series))
            if (folder / _COMPLETE).exists():
                (folder / _COMPLETE).unlink()
                disk.sync_folder(folder)
            target = disk.make_folder(folder / "source") / f"{instance}.dcm"
            if target.exists():
                partial.unlink()
                return False
            self._used += partial.stat().st_size
            disk.move(partial, target)
            return True

    def closed(self, association: object, *, released: bool) -> None:
        """An association has ended; `released` if its peer had sent all it wanted."""
        with self._lock:
            for series in [name for name, users in self._open.items() if association in users]:
                self._open[series].discard(association)
                self._last[series] = time.monotonic()
                if not self._open[series]:
                    del self._open[series]
                    if released and self.folder("incoming", series).is_dir():
                        disk.write_bytes(self.folder("incoming", series) / _COMPLETE, b"")

    def promote(self, quiet_seconds: float, quiet_after_abort_seconds: float) -> list[tuple[str, int]]:
        """Move series that are complete from ``incoming`` to ``ready``.

        Images that come after the others of their series were done join them again, so that they are denoised with
        their neighbours; what the destination has acknowledged is not sent again. A series that had failed starts
        anew. Images that are done already are dropped.

        Returns:
            the series, and how many images each has; 0 for one that held nothing new.
        """
        moved = []
        with self._lock:
            for series in self.series("incoming"):
                quiet = (self.folder("incoming", series) / _COMPLETE).exists()
                wait = quiet_seconds if quiet else quiet_after_abort_seconds
                last = self._last.get(series, self._started)
                busy = any(self.folder(state, series).exists() for state in ("ready", "working", "outgoing"))
                if series in self._open or busy or time.monotonic() - last < wait:
                    continue
                if self._join(series):
                    disk.move(self.folder("incoming", series), self.folder("ready", series))
                    moved.append((series, len(self.sources("ready", series))))
                else:
                    disk.discard(self.folder("incoming", series), self.root / _TRASH)
                    moved.append((series, 0))
                self._last.pop(series, None)
        return moved

    def _join(self, series: str) -> bool:
        """Bring a series' earlier images and acknowledgements back to the new ones; False if nothing is new."""
        incoming = self.folder("incoming", series)
        arrived = {path.name for path in self.sources("incoming", series)}
        for state in ("done", "failed"):
            old = self.folder(state, series)
            if not old.is_dir():
                continue
            if state == "done" and arrived <= {path.name for path in self.sources(state, series)}:
                return False
            record = old / ledger.NAME
            if record.exists():
                disk.write_bytes(incoming / ledger.NAME, record.read_bytes())
            for path in self.sources(state, series):
                if path.name not in arrived:
                    disk.move(path, incoming / "source" / path.name)
            disk.discard(old, self.root / _TRASH)
        return True

    # moving on

    def claim(self) -> str | None:
        """Take the next series to denoise: from ``ready`` to ``working``."""
        with self._lock:
            for series in self.series("ready"):
                disk.move(self.folder("ready", series), self.folder("working", series))
                return series
        return None

    def give_back(self, series: str) -> None:
        """From ``working`` to ``ready`` again, without what was half done."""
        with self._lock:
            self.drop_derived(series)
            disk.move(self.folder("working", series), self.folder("ready", series))

    def drop_derived(self, series: str) -> None:
        """Throw away what was made of a series in ``working``."""
        derived = self.folder("working", series) / "derived"
        if derived.exists():
            disk.discard(derived, self.root / _TRASH)

    def finish(self, series: str, before: str, after: str, **notes: Any) -> None:
        """Move a series on, with notes that stay in its ``job.json``."""
        with self._lock:
            self.note(before, series, **notes)
            os.utime(self.folder(before, series))
            disk.move(self.folder(before, series), self.folder(after, series))

    def note(self, state: str, series: str, **notes: Any) -> dict[str, Any]:
        """Add to what is written about a series; returns all of it."""
        path = self.folder(state, series) / _JOB
        job = disk.read_json(path) | notes
        if notes:
            disk.write_json(path, job)
        return job

    def forget(self, keep_days: float) -> list[str]:
        """Delete what has been done for longer than `keep_days`."""
        gone = []
        with self._lock:
            for series in self.series("done"):
                folder = self.folder("done", series)
                if time.time() - folder.stat().st_mtime > keep_days * 86400:
                    disk.discard(folder, self.root / _TRASH)
                    gone.append(series)
        return gone
