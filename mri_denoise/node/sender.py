"""Sends the series in ``outgoing``: each image until it is acknowledged, and none that was acknowledged before."""

from __future__ import annotations

import logging
import time
from dataclasses import replace

from mri_denoise.node.destinations import Image, QueryError, SendError, Target, read_image
from mri_denoise.node.ledger import Ledger
from mri_denoise.node.pauses import Pauses
from mri_denoise.node.records import Job
from mri_denoise.node.settings import NodeSettings
from mri_denoise.node.spool import Spool

logger = logging.getLogger(__name__)


class Sender:
    """Moves series from ``outgoing`` to ``done``, or to ``failed`` after the last attempt.

    Args:
        settings: pauses between attempts, and whether to ask the destination.
        spool: the queue.
        target: the destination.
    """

    def __init__(self, settings: NodeSettings, spool: Spool, target: Target) -> None:
        self._settings, self._spool, self._target = settings, spool, target
        self._pauses = Pauses(settings.retry)

    def step(self) -> bool:
        """Try to send one series that is due; False if there is none."""
        for series in self._spool.series("outgoing"):
            if self._pauses.is_due(series):
                self._attempt(series)
                return True
        return False

    def _attempt(self, series: str) -> None:
        job = self._spool.job("outgoing", series)
        if job is None:
            self._give_up(series, Job(failed=("job.json, which says what to send, cannot be read",)))
            return
        try:
            ledger = Ledger(self._spool.folder("outgoing", series))
            problems = self._send(ledger, job)
        except SendError as error:
            problems = [str(error)]
        except Exception as error:  # a series that cannot be read must not delay the others
            problems = [f"{type(error).__name__}: {error}"]
        if problems:
            self._later(series, job, problems)
            return
        self._pauses.forget(series)
        self._spool.finish(series, "outgoing", "done", replace(job, error=None))
        logger.info("sent", extra={"series": series, "images": len(ledger.acknowledged)})

    def _send(self, ledger: Ledger, job: Job) -> list[str]:
        """Send what is not acknowledged; return a line for each image that the destination refused."""
        folder = ledger.path.parent
        images = [read_image(folder / name) for name in job.send]
        if ledger.in_doubt and self._settings.destination.query:
            self._ask(images, ledger)
        pending = {one.instance: one for one in images if (one.series, one.source) not in ledger.acknowledged}
        if not pending:
            return []
        ledger.begin()
        refused = self._target.send(list(pending.values()), lambda uid, status: _note(ledger, pending[uid], status))
        ledger.end()
        return refused

    def _ask(self, images: list[Image], ledger: Ledger) -> None:
        """Ask, after a round that was cut short, which images arrived without their acknowledgement."""
        for study, series in sorted({(image.study, image.series) for image in images}):
            try:
                held = self._target.held(study, series)
            except QueryError as error:
                again = "sending again under the same UIDs"
                logger.warning("cannot ask", extra={"series": series, "reason": error, "next": again})
                return
            for image in images:
                key = (image.series, image.source)
                if image.series == series and image.instance in held and key not in ledger.acknowledged:
                    _note(ledger, image, "found")

    def _later(self, series: str, job: Job, problems: list[str]) -> None:
        """Keep the reason and the time of the next attempt, or give up."""
        since = job.unsent_since or time.time()
        if time.time() - since >= self._settings.retry.give_up_hours * 3600:
            self._give_up(series, replace(job, failed=tuple(problems), error=None, unsent_since=None))
            return
        pause = self._pauses.begin(series)
        self._spool.write_job("outgoing", series, replace(job, error=problems[0], unsent_since=since))
        logger.warning("not sent", extra={"series": series, "reason": problems[0], "again_in_seconds": pause})

    def _give_up(self, series: str, job: Job) -> None:
        self._pauses.forget(series)
        self._spool.finish(series, "outgoing", "failed", job)
        logger.error("failed", extra={"series": series, "reason": job.failed[0], "next": "given up"})


def _note(ledger: Ledger, image: Image, status: str) -> None:
    ledger.acknowledge(image.instance, status, series=image.series, source=image.source)
