"""The queue on disk. A series is a folder; the folder it lies in is its state, and a rename moves it on.

``incoming``  images arrive        ``ready``   complete, waits for the worker     ``working``  being denoised
``outgoing``  waits for sending    ``done``    sent, kept for a while             ``failed``   kept until somebody acts

A series folder is named by its Series Instance UID and holds ``source/UID.dcm``, later ``derived/``, ``sent.log``
(`ledger`) and ``job.json`` (`records.Job`). `incoming` fills the first state. Killed at any point, the next start finds
every series in exactly one place, or (while images that came late are put together with those of before) in two that
are put together again.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

from mri_denoise.errors import InputError
from mri_denoise.node import disk, records
from mri_denoise.node.records import Job

STATES = ("incoming", "ready", "working", "outgoing", "done", "failed")
COMMITMENTS = "commitments"
RECEIVING = "receiving"
_TRASH, _JOB = "trash", "job.json"
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


def is_uid(text: str) -> bool:
    """Whether a text has the form of a UID (DICOM PS3.5 9.1); nothing else becomes the name of a file."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


class Spool:
    """The states of a node's series; safe to call from several threads.

    Args:
        root: the folder; it is made if missing, its parent is not.

    Raises:
        InputError: if the folder cannot be made.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lock = threading.RLock()
        """Held while series move, so that what is decided about one still holds when it is done."""
        try:
            for name in ("", *STATES, RECEIVING, _TRASH, COMMITMENTS):
                disk.make_folder(root / name)
        except OSError as error:
            raise InputError(f"{root}: cannot hold the queue ({error.strerror}); choose another spool") from error

    def recover(self) -> None:
        """Put back what was under way when the node ended; the lock must be held."""
        for name in (RECEIVING, _TRASH):
            for left in (self.root / name).iterdir():
                if left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink()
        for left in (*self.root.glob("*/.*"), *self.root.glob("*/*/.*")):  # hidden: what was being written
            if left.is_file():
                left.unlink()
        for series in self.series("working"):
            self.give_back(series)

    def folder(self, state: str, series: str) -> Path:
        """The folder of a series in a state."""
        return self.root / state / series

    def series(self, state: str) -> list[str]:
        """The series in a state; the one that changed longest ago comes first."""
        found = []
        for entry in os.scandir(self.root / state):
            if is_uid(entry.name):
                try:
                    found.append((entry.stat().st_mtime, entry.name))
                except FileNotFoundError:  # moved on meanwhile
                    continue
        return [name for _, name in sorted(found)]

    def sources(self, state: str, series: str) -> list[Path]:
        """The received images of a series, sorted by name."""
        return sorted((self.folder(state, series) / "source").glob("*.dcm"))

    def held(self) -> set[str]:
        """The SOP Instance UIDs of all images in the queue, in any state."""
        with self.lock:
            return {path.stem for state in STATES for path in (self.root / state).glob("*/source/*.dcm")}

    def claim(self, is_due: Callable[[str], bool] = lambda series: True) -> str | None:
        """Move the next series that is due from ``ready`` to ``working``; return it, or None if there is none."""
        with self.lock:
            for series in filter(is_due, self.series("ready")):
                disk.move(self.folder("ready", series), self.folder("working", series))
                return series
        return None

    def give_back(self, series: str) -> None:
        """Move a series from ``working`` back to ``ready``, without what was made of it."""
        with self.lock:
            self.drop_derived(series)
            disk.move(self.folder("working", series), self.folder("ready", series))

    def drop_derived(self, series: str) -> None:
        """Delete what was made of a series in ``working``."""
        derived = self.folder("working", series) / "derived"
        if derived.exists():
            self.discard(derived)

    def finish(self, series: str, before: str, after: str, job: Job) -> None:
        """Move a series on, and keep what was decided about it."""
        with self.lock:
            self.write_job(before, series, job)
            os.utime(self.folder(before, series))
            disk.move(self.folder(before, series), self.folder(after, series))

    def job(self, state: str, series: str) -> Job | None:
        """What was decided about a series; None if nothing was, or if it cannot be read."""
        return records.read(self.folder(state, series) / _JOB, Job)

    def write_job(self, state: str, series: str, job: Job) -> None:
        """Keep what was decided about a series."""
        records.write(self.folder(state, series) / _JOB, job)

    def forget(self, keep_days: float) -> list[str]:
        """Delete what has been done for longer than `keep_days`; returns those series."""
        gone = []
        with self.lock:
            for series in self.series("done"):
                folder = self.folder("done", series)
                if time.time() - folder.stat().st_mtime > keep_days * 86400:
                    self.discard(folder)
                    gone.append(series)
        return gone

    def discard(self, folder: Path) -> None:
        """Delete a folder of the queue; it is gone in one step."""
        disk.discard(folder, self.root / _TRASH)
