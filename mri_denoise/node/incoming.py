"""The first state of the queue: images arrive, and a complete series moves on to ``ready``."""

from __future__ import annotations

import filecmp
import logging
import secrets
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from mri_denoise.node import disk, ledger
from mri_denoise.node.spool import RECEIVING, Spool, is_uid

_COMPLETE = "complete"
_GB = 1e9
_MEASURE_SECONDS = 20.0
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Complete:
    """A series that has moved to ``ready``.

    Args:
        series: Series Instance UID.
        images: how many it has; 0 if it brought nothing new and was dropped.
    """

    series: str
    images: int


class Incoming:
    """Takes images into a queue; safe to call from several threads.

    Args:
        spool: the queue.
        queue_gb: GB that all its files together may take.
        free_gb: GB that stay free on its disk.
    """

    def __init__(self, spool: Spool, *, queue_gb: float = 50.0, free_gb: float = 0.0) -> None:
        self._spool, self._queue_bytes, self._free_bytes = spool, queue_gb * _GB, free_gb * _GB
        self._last: dict[str, float] = {}
        self._open: dict[str, set[object]] = {}
        self._used, self._measured = 0, float("-inf")
        self._started = time.monotonic()
        self._lock = spool.lock

    def new_partial(self) -> Path:
        """Choose the name of a file for an image that is being received."""
        return self._spool.root / RECEIVING / f"{secrets.token_hex(16)}.part"

    def is_full(self) -> str | None:
        """Why no further image can be taken, or None."""
        with self._lock:
            if time.monotonic() - self._measured > _MEASURE_SECONDS:
                self._used, self._measured = disk.size(self._spool.root), time.monotonic()
            if self._used > self._queue_bytes:
                return "queue is full"
        return "disk is full" if shutil.disk_usage(self._spool.root).free < self._free_bytes else None

    def store(self, partial: Path, series: str, instance: str, association: object) -> bool:
        """Take an image into the queue; it survives a power cut from when this returns.

        Args:
            partial: the file, whole and written to disk, on the file system of the queue.
            series: Series Instance UID.
            instance: SOP Instance UID.
            association: any object that stands for the association, until `closed` is called with it.

        Returns:
            False if the series that is arriving has this very image already. One that differs replaces it: a sender
            that has corrected an image sends it again under the same identifier.

        Raises:
            ValueError: if a UID is none.
        """
        if not is_uid(series) or not is_uid(instance):
            raise ValueError(f"not a UID: {series!r} or {instance!r}")
        with self._lock:
            self._last[series] = time.monotonic()
            self._open.setdefault(series, set()).add(association)
            folder = disk.make_folder(self._folder(series))
            if (folder / _COMPLETE).exists():
                (folder / _COMPLETE).unlink()
                disk.sync_folder(folder)
            target = disk.make_folder(folder / "source") / f"{instance}.dcm"
            if target.exists():
                if filecmp.cmp(partial, target, shallow=False):
                    partial.unlink()
                    return False
                logger.warning("replaced", extra={"series": series, "instance": instance})
            self._used += partial.stat().st_size
            disk.move(partial, target)
            return True

    def closed(self, association: object, *, released: bool) -> None:
        """Note that an association has ended; `released` if its peer had sent all it wanted."""
        with self._lock:
            for series in [name for name, users in self._open.items() if association in users]:
                self._open[series].discard(association)
                self._last[series] = time.monotonic()
                if not self._open[series]:
                    del self._open[series]
                    if released and self._folder(series).is_dir():
                        disk.write_bytes(self._folder(series) / _COMPLETE, b"")

    def promote(self, quiet_seconds: float, quiet_after_abort_seconds: float) -> list[Complete]:
        """Move series that are complete from ``incoming`` to ``ready``.

        Images that come after the others of their series were done join them again, so that they are denoised with
        their neighbours; what the destination has acknowledged is not sent again. A series that had failed starts
        anew. Images that are done already are dropped, unless their content has changed: then all are sent again.

        Args:
            quiet_seconds: how long nothing has come since the last association of a series was released.
            quiet_after_abort_seconds: the same if it was aborted, or the node was started meanwhile.

        Returns:
            the series that have moved, and those that held nothing new.
        """
        moved = []
        with self._lock:
            for series in self._spool.series("incoming"):
                is_whole = (self._folder(series) / _COMPLETE).exists()
                if not self._is_quiet(series, quiet_seconds if is_whole else quiet_after_abort_seconds):
                    continue
                if self._join(series):
                    disk.move(self._folder(series), self._spool.folder("ready", series))
                    images = len(self._spool.sources("ready", series))
                else:
                    self._spool.discard(self._folder(series))
                    images = 0
                moved.append(Complete(series=series, images=images))
                self._last.pop(series, None)
        return moved

    def _folder(self, series: str) -> Path:
        return self._spool.folder("incoming", series)

    def _is_quiet(self, series: str, seconds: float) -> bool:
        """Whether nothing more is awaited of a series, and its earlier images are not under way."""
        under_way = any(self._spool.folder(state, series).exists() for state in ("ready", "working", "outgoing"))
        last = self._last.get(series, self._started)
        return not under_way and series not in self._open and time.monotonic() - last >= seconds

    def _join(self, series: str) -> bool:
        """Put the earlier images and acknowledgements of a series beside the new images; False if nothing is new."""
        incoming = self._folder(series)
        arrived = {path.name: path for path in self._spool.sources("incoming", series)}
        for state in ("done", "failed"):
            old = self._spool.folder(state, series)
            if not old.is_dir():
                continue
            earlier = {path.name: path for path in self._spool.sources(state, series)}
            again = [name for name in arrived if name in earlier]
            corrected = [name for name in again if not filecmp.cmp(arrived[name], earlier[name], shallow=False)]
            if state == "done" and len(again) == len(arrived) and not corrected:
                return False
            record = old / ledger.NAME
            if corrected:
                logger.info("corrected", extra={"series": series, "images": len(corrected)})
            elif record.exists():
                disk.write_bytes(incoming / ledger.NAME, record.read_bytes())
            for name, path in earlier.items():
                if name not in arrived:
                    disk.move(path, incoming / "source" / name)
            self._spool.discard(old)
        return True
