"""Denoises the series that are ready, one after another, in a process of its own."""

from __future__ import annotations

import logging
import select
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import PurePath
from typing import IO

from mri_denoise.io.files import sync
from mri_denoise.node import rules
from mri_denoise.node.last_words import LastWords
from mri_denoise.node.messages import Answer, Request
from mri_denoise.node.pauses import Pauses
from mri_denoise.node.records import Job, Skipped, from_json, to_json
from mri_denoise.node.settings import NodeSettings, Rule
from mri_denoise.node.spool import Spool

logger = logging.getLogger(__name__)
_CRASHES_ALLOWED = 1


class Crash(Exception):
    """The denoising process ended, or took too long, while it had a series."""


class Worker:
    """Moves series from ``ready`` to ``outgoing``, ``done`` or ``failed``.

    Args:
        settings: rules, device, time for a series.
        spool: the queue, locked by this node.
        lock: the file of the lock, which the process inherits: while it runs, no other node can use the queue.
    """

    def __init__(self, settings: NodeSettings, spool: Spool, lock: IO[bytes]) -> None:
        self._settings, self._spool, self._lock = settings, spool, lock
        self._pauses = Pauses(settings.retry)
        self._process: subprocess.Popen[bytes] | None = None
        self._words: LastWords | None = None
        self._stopped = False

    def start(self) -> None:
        """Start the process, so that it is warm when the first series comes."""
        self._end()
        working = self._spool.folder("working", "")
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-X",
                "faulthandler",
                "-m",
                "mri_denoise.node.child",
                str(working.resolve()),
                self._settings.device,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(self._lock.fileno(),),
        )
        assert self._process.stderr is not None
        self._words = LastWords(self._process.stderr)

    def stop(self) -> None:
        """End the process; the series that it had is denoised anew when the node starts again."""
        self._stopped = True
        self._end()

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def step(self) -> bool:
        """Handle one series that is ready and due; False if there is none."""
        series = self._spool.claim(self._pauses.is_due)
        if series is None:
            return False
        try:
            self._handle(series)
        except Exception:  # for instance a full disk: nothing is lost, and the next attempt may succeed
            if not self._stopped and self._spool.folder("working", series).exists():
                self._spool.give_back(series)
                self._pauses.begin(series)
            raise
        return True

    def _handle(self, series: str) -> None:
        """Decide what to do with a series, and do it."""
        sources = self._spool.sources("working", series)
        before = self._spool.job("working", series) or Job()
        job = Job(images=len(sources), crashes=before.crashes)
        if not sources:
            self._fail(series, job, ["no image in the series"])
            return
        ds = rules.header(sources[0])
        rule, number = rules.choose(self._settings.rules, ds)
        job = replace(job, rule=number)
        if rules.is_own(ds):
            self._keep(series, job, "made by mri-denoise, not denoised again")
        elif rule.skip:
            skipped = tuple(Skipped(file=path.name, reason=f"rule {number} says skip") for path in sources)
            self._leave(series, replace(job, skipped=skipped))
        else:
            self._denoise(series, job, rule)

    def _denoise(self, series: str, job: Job, rule: Rule) -> None:
        """Let the process denoise a series, and act on its answer."""
        started = time.monotonic()
        try:
            answer = self._ask(Request(series=series, rule=rule))
        except Crash as crash:
            if not self._stopped:
                self._after_crash(series, job, str(crash))
            return
        if answer.unwritten is not None and not self._pauses.is_over(series):
            self._spool.give_back(series)
            pause = self._pauses.begin(series)
            logger.warning(
                "not denoised", extra={"series": series, "reason": answer.unwritten, "again_in_seconds": pause}
            )
            return
        self._pauses.forget(series)
        job = replace(job, skipped=answer.skipped)
        failed = [answer.unwritten] if answer.unwritten else []
        failed += [*answer.failed, *(f"{one.file}: {one.reason}" for one in answer.skipped if one.damaged)]
        if failed:
            self._fail(series, job, failed)
        elif not answer.done:
            self._leave(series, job)
        else:
            images = self._derived(series)
            seconds = round(time.monotonic() - started, 2)
            forward = answer.skipped if self._settings.series.not_eligible == "forward" else ()
            derived = {PurePath(name).name for name in images}  # which hold the frames that were left alone, too
            send = (*images, *dict.fromkeys(f"source/{one.file}" for one in forward if one.file not in derived))
            self._spool.finish(series, "working", "outgoing", replace(job, send=send))
            counts = {"images": len(images), "skipped": len(answer.skipped), "seconds": seconds}
            logger.info("denoised", extra={"series": series, **counts})

    def _derived(self, series: str) -> list[str]:
        """Write the derived images of a series to disk; return their paths, relative to its folder."""
        folder = self._spool.folder("working", series)
        images = sorted(path for path in (folder / "derived").rglob("*.dcm") if path.is_file())
        for path in images:
            sync(path)
        return [path.relative_to(folder).as_posix() for path in images]

    def _ask(self, request: Request) -> Answer:
        """Send a request to the process and return its answer.

        Raises:
            Crash: if there is no answer.
        """
        if self._process is None or self._process.poll() is not None:
            self.start()
        process = self._process
        assert process is not None and process.stdin is not None
        until = time.monotonic() + self._settings.limits.denoise_minutes * 60
        try:
            process.stdin.write(to_json(request) + b"\n")
            process.stdin.flush()
            return from_json(Answer, self._line(process, until))
        except (OSError, ValueError) as error:
            process.kill()  # it has ended, or gave no answer that can be read
            raise self._end_of(process) from error

    def _line(self, process: subprocess.Popen[bytes], until: float) -> bytes:
        assert process.stdout is not None
        while not select.select([process.stdout], [], [], 0.5)[0]:
            if time.monotonic() > until:
                process.kill()
                process.wait()
                raise Crash("took longer than limits.denoise_minutes")
        line = process.stdout.readline()
        if not line.endswith(b"\n"):
            raise self._end_of(process)
        return line

    def _end_of(self, process: subprocess.Popen[bytes]) -> Crash:
        """What is known of a process that has ended."""
        code = process.wait()
        return Crash(f"the denoising process ended ({code}){self._words.say() if self._words else ''}")

    def _after_crash(self, series: str, job: Job, reason: str) -> None:
        """Try a second time, then let the series fail."""
        job = replace(job, crashes=job.crashes + 1)
        if job.crashes > _CRASHES_ALLOWED:
            self._fail(series, job, [reason])
        else:
            self._spool.write_job("working", series, job)
            logger.warning("crashed", extra={"series": series, "reason": reason, "next": "once more"})
            self._spool.give_back(series)

    def _leave(self, series: str, job: Job) -> None:
        """Keep a series that is not denoised, or send it on as it is."""
        reason = "; ".join(sorted({one.reason for one in job.skipped})) or "no image"
        if self._settings.series.not_eligible == "forward":
            send = tuple(f"source/{path.name}" for path in self._spool.sources("working", series))
            self._spool.finish(series, "working", "outgoing", replace(job, send=send))
            logger.info("not eligible", extra={"series": series, "reason": reason, "next": "forwarded unchanged"})
        else:
            self._keep(series, job, reason)

    def _keep(self, series: str, job: Job, reason: str) -> None:
        self._spool.finish(series, "working", "done", job)
        logger.info("not eligible", extra={"series": series, "reason": reason, "next": "kept"})

    def _fail(self, series: str, job: Job, reasons: list[str]) -> None:
        self._spool.drop_derived(series)
        self._spool.finish(series, "working", "failed", replace(job, failed=tuple(reasons), crashes=0))
        logger.error("failed", extra={"series": series, "reason": reasons[0], "more": len(reasons) - 1})
