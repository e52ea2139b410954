"""Sends series that wait in ``outgoing``: each image until it is acknowledged, none that already was."""

from __future__ import annotations

import time
from pathlib import Path

from mri_denoise.node.destinations import Image, QueryError, SendError, Target, read_image
from mri_denoise.node.ledger import Ledger
from mri_denoise.node.log import Log
from mri_denoise.node.settings import NodeSettings
from mri_denoise.node.spool import Spool


class Sender:
    """Moves series from ``outgoing`` to ``done``, or to ``failed`` when given up.

    Args:
        settings: pauses between attempts, and whether to ask the destination.
        spool: the queue.
        target: the destination.
        log: for a line a series and attempt.
    """

    def __init__(self, settings: NodeSettings, spool: Spool, target: Target, log: Log) -> None:
        self._settings, self._spool, self._target, self._log = settings, spool, target, log
        self._due: dict[str, float] = {}
        self._pauses: dict[str, float] = {}

    def step(self) -> bool:
        """Try one series whose time has come; False if there is none."""
        now = time.monotonic()
        for series in self._spool.series("outgoing"):
            if self._due.get(series, now) <= now:
                self._attempt(series)
                return True
        return False

    def _attempt(self, series: str) -> None:
        folder = self._spool.folder("outgoing", series)
        try:
            ledger = Ledger(folder)
            problems = self._send(folder, ledger)
        except SendError as error:
            self._later(series, [str(error)])
        except Exception as error:  # one series that cannot be read must not hold up the others
            self._later(series, [f"{type(error).__name__}: {error}"])
        else:
            if problems:
                self._later(series, problems)
                return
            self._due.pop(series, None)
            self._pauses.pop(series, None)
            self._spool.finish(series, "outgoing", "done", error=None)
            self._log("sent", series=series, images=len(ledger.acknowledged))

    def _send(self, folder: Path, ledger: Ledger) -> list[str]:
        """One round; returns a line for each image that the destination refused."""
        names = self._spool.note("outgoing", folder.name).get("send", [])
        images = [read_image(folder / name) for name in names]
        if ledger.in_doubt and self._settings.destination.query:
            self._ask(images, ledger)
        pending = [image for image in images if image.instance not in ledger.acknowledged]
        if not pending:
            return []
        ledger.begin()
        refused = self._target.send(pending, ledger.acknowledge)
        ledger.end()
        return refused

    def _ask(self, images: list[Image], ledger: Ledger) -> None:
        """After a round that was cut short: what has arrived without our knowing?"""
        for study, series in sorted({(image.study, image.series) for image in images}):
            try:
                held = self._target.held(study, series)
            except QueryError as error:
                self._log("cannot ask", series=series, reason=error, next="sending again under the same UIDs")
                return
            for image in images:
                if image.series == series and image.instance in held and image.instance not in ledger.acknowledged:
                    ledger.acknowledge(image.instance, "found")

    def _later(self, series: str, problems: list[str]) -> None:
        """Note why, and when to try again; or give up."""
        retry = self._settings.retry
        job = self._spool.note("outgoing", series)
        since = job.get("unsent_since") or time.time()
        if time.time() - since >= retry.give_up_hours * 3600:
            self._spool.finish(series, "outgoing", "failed", failed=problems, error=None, unsent_since=None)
            self._log("failed", series=series, reason=problems[0], next="given up")
            return
        pause = min(self._pauses.get(series, retry.first_seconds / 2) * 2, retry.longest_seconds)
        self._pauses[series], self._due[series] = pause, time.monotonic() + pause
        self._spool.note("outgoing", series, error=problems[0], unsent_since=since)
        self._log("not sent", series=series, reason=problems[0], again_in_seconds=pause)
