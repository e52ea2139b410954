"""Takes series that are ready through the denoising process, one after another."""

from __future__ import annotations

import dataclasses
import json
import select
import subprocess
import sys
import time
from typing import IO, Any

from mri_denoise.node import disk, rules
from mri_denoise.node.log import Log
from mri_denoise.node.settings import NodeSettings
from mri_denoise.node.spool import Spool

_CRASHES_ALLOWED = 1


class Crash(Exception):
    """The denoising process ended, or took too long, while it had a series."""


class Worker:
    """Moves series from ``ready`` to ``outgoing``, ``done`` or ``failed``.

    Args:
        settings: rules, device, time for a series.
        spool: the queue, locked by this node.
        lock: the lock's file, which the process inherits: while it runs no other node can take the queue.
        log: for a line a series.
    """

    def __init__(self, settings: NodeSettings, spool: Spool, lock: IO[bytes], log: Log) -> None:
        self._settings, self._spool, self._lock, self._log = settings, spool, lock, log
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def start(self) -> None:
        """Start the process, so that it is warm when the first series comes."""
        working = self._spool.folder("working", "")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mri_denoise.node.child", str(working.resolve()), self._settings.device],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=(self._lock.fileno(),),
        )

    def stop(self) -> None:
        """End the process; the series that it has goes back when the node starts again."""
        self._stopped = True
        process = self._process
        if process is not None:
            process.kill()
            process.wait()

    def step(self) -> bool:
        """Handle one series that is ready; False if there is none."""
        series = self._spool.claim()
        if series is None:
            return False
        try:
            self._handle(series)
        except Exception:  # a full disk, for instance: nothing is lost, and the next round may do
            if not self._stopped and self._spool.folder("working", series).exists():
                self._spool.give_back(series)
            raise
        return True

    def _handle(self, series: str) -> None:
        """Decide what a series needs, and do it."""
        started = time.monotonic()
        sources = self._spool.sources("working", series)
        ds = rules.header(sources[0]) if sources else None
        if ds is None:
            self._fail(series, ["no image in the series"])
            return
        rule, number = rules.choose(self._settings.rules, ds)
        notes: dict[str, Any] = {"rule": number, "images": len(sources)}
        if rules.is_own(ds):
            self._keep(series, "made by mri-denoise, not denoised again", notes)
        elif rule.skip:
            self._leave(series, [(path.name, f"rule {number} says skip", False) for path in sources], notes)
        else:
            self._denoise(series, dataclasses.asdict(rule), notes, started)

    def _denoise(self, series: str, rule: dict[str, Any], notes: dict[str, Any], started: float) -> None:
        """Give a series to the process and act on its answer."""
        try:
            answer = self._ask({"series": series, "rule": rule})
        except Crash as crash:
            if not self._stopped:
                self._after_crash(series, str(crash))
            return
        skipped = answer["skipped"]
        failed = [*answer["failed"], *(f"{name}: {reason}" for name, reason, damaged in skipped if damaged)]
        if failed:
            self._fail(series, failed, skipped=skipped, **notes)
        elif not answer["done"]:
            self._leave(series, skipped, notes)
        else:
            derived = self._spool.folder("working", series) / "derived"
            images = sorted(path for path in derived.rglob("*.dcm") if path.is_file())
            for path in images:
                disk.sync_file(path)
            forward = [name for name, _, _ in skipped] if self._settings.series.not_eligible == "forward" else []
            names = [path.relative_to(derived.parent).as_posix() for path in images]
            send = [*names, *(f"source/{name}" for name in forward)]
            self._spool.finish(series, "working", "outgoing", send=send, skipped=skipped, **notes)
            seconds = round(time.monotonic() - started, 2)
            self._log("denoised", series=series, images=len(images), skipped=len(skipped), seconds=seconds)

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """One request to the process and its answer.

        Raises:
            Crash: if there is none.
        """
        if self._process is None or self._process.poll() is not None:
            self.start()
        process = self._process
        assert process is not None and process.stdin is not None
        until = time.monotonic() + self._settings.limits.denoise_minutes * 60
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            while True:
                answer = self._line(process, until)
                if "ready" not in answer:
                    return answer
        except (OSError, ValueError) as error:
            raise Crash("the denoising process ended") from error

    def _line(self, process: subprocess.Popen[bytes], until: float) -> dict[str, Any]:
        assert process.stdout is not None
        while not select.select([process.stdout], [], [], 0.5)[0]:
            if time.monotonic() > until:
                process.kill()
                process.wait()
                raise Crash("took longer than limits.denoise_minutes")
        line = process.stdout.readline()
        if not line.endswith(b"\n"):
            process.wait()
            raise Crash(f"the denoising process ended ({process.returncode})")
        return json.loads(line)

    def _after_crash(self, series: str, reason: str) -> None:
        """Try once more, then give the series up."""
        crashes = self._spool.note("working", series).get("crashes", 0) + 1
        self._spool.note("working", series, crashes=crashes)
        if crashes > _CRASHES_ALLOWED:
            self._fail(series, [reason])
        else:
            self._log("crashed", series=series, reason=reason, next="once more")
            self._spool.give_back(series)

    def _leave(self, series: str, skipped: list[Any], notes: dict[str, Any]) -> None:
        """A series that is not denoised: kept, or sent on as it is."""
        reason = "; ".join(sorted({reason for _, reason, _ in skipped})) or "no image"
        if self._settings.series.not_eligible == "forward":
            send = [f"source/{path.name}" for path in self._spool.sources("working", series)]
            self._spool.finish(series, "working", "outgoing", send=send, skipped=skipped, **notes)
            self._log("not eligible", series=series, reason=reason, next="forwarded unchanged")
        else:
            self._keep(series, reason, notes | {"skipped": skipped})

    def _keep(self, series: str, reason: str, notes: dict[str, Any]) -> None:
        self._spool.finish(series, "working", "done", send=[], **notes)
        self._log("not eligible", series=series, reason=reason, next="kept")

    def _fail(self, series: str, reasons: list[str], **notes: Any) -> None:
        self._spool.drop_derived(series)
        self._spool.finish(series, "working", "failed", failed=reasons, crashes=0, **notes)
        self._log("failed", series=series, reason=reasons[0], more=len(reasons) - 1)
