"""The node as a whole: receiver, worker and sender around one queue, until it is told to stop."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

from mri_denoise.errors import InputError
from mri_denoise.node import commitment, destinations
from mri_denoise.node.lock import is_running, locked
from mri_denoise.node.log import Log
from mri_denoise.node.receiver import Receiver
from mri_denoise.node.sender import Sender
from mri_denoise.node.settings import NodeSettings
from mri_denoise.node.spool import STATES, Spool
from mri_denoise.node.worker import Worker

_IDLE_SECONDS = 0.2
_REPORT_SECONDS = 5.0
_FORGET_SECONDS = 60.0


def serve(settings: NodeSettings, log: Log, stop: threading.Event) -> None:
    """Run a node until `stop` is set.

    Args:
        settings: what it does.
        log: what it says.
        stop: set it from a signal handler or another thread.

    Raises:
        InputError: if it cannot start: the queue is in use, the port is taken, a file is missing ...
    """
    os.umask(0o077)
    spool = Spool(settings.spool, settings.limits.queue_gb, settings.limits.free_gb)
    target = destinations.make(settings)
    receiver = Receiver(settings, spool, log)
    with locked(spool.root) as lock:
        spool.recover()
        worker = Worker(settings, spool, lock, log)
        sender = Sender(settings, spool, target, log)
        receiver.start()
        worker.start()
        log("listening", ae_title=settings.listen.ae_title, host=settings.listen.host, port=receiver.port)
        threads = [
            _repeat(worker.step, _IDLE_SECONDS, stop, log),
            _repeat(sender.step, _IDLE_SECONDS, stop, log),
            _repeat(lambda: not commitment.report(settings, spool, log) and False, _REPORT_SECONDS, stop, log),
            _repeat(lambda: bool(spool.forget(settings.keep_days)), _FORGET_SECONDS, stop, log),
        ]
        try:
            _keep_promoting(settings, spool, receiver, log, stop)
        finally:
            stop.set()
            receiver.stop()
            worker.stop()
            for thread in threads:
                thread.join(settings.limits.timeout_seconds)
            log("stopped")


def _keep_promoting(settings: NodeSettings, spool: Spool, receiver: Receiver, log: Log, stop: threading.Event) -> None:
    quiet = settings.series
    while not stop.wait(_IDLE_SECONDS):
        try:
            receiver.prune()
            for series, images in spool.promote(quiet.quiet_seconds, quiet.quiet_after_abort_seconds):
                log("complete" if images else "nothing new", series=series, images=images)
        except OSError as error:  # a full disk, for instance: the next round may do
            log("error", where="queue", reason=error)
            stop.wait(1.0)


def _repeat(step: Callable[[], bool], pause: float, stop: threading.Event, log: Log) -> threading.Thread:
    """Call `step` in a thread, again at once while it finds something to do, and whatever it meets."""

    def loop() -> None:
        while not stop.is_set():
            try:
                if step():
                    continue
            except Exception as error:
                if not stop.is_set():
                    log("error", where=getattr(step, "__qualname__", "node"), reason=error)
                    stop.wait(1.0)
            stop.wait(pause)

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    return thread


def status(settings: NodeSettings) -> dict[str, Any]:
    """What lies in the queue, and whether a node runs; works beside a running node.

    Returns:
        ``running``, how many series are in each state, and for those that wait to be sent or failed the reason.

    Raises:
        InputError: if there is no queue yet.
    """
    if not (settings.spool / STATES[0]).is_dir():
        raise InputError(f"{settings.spool}: no queue of a node")
    spool = Spool(settings.spool)
    series = {state: spool.series(state) for state in STATES}
    failed = [{"series": one, "reasons": spool.note("failed", one).get("failed", [])} for one in series["failed"]]
    waiting = [{"series": one, "error": spool.note("outgoing", one).get("error")} for one in series["outgoing"]]
    counts = {state: len(found) for state, found in series.items()}
    return {"running": is_running(spool.root), "series": counts, "failed": failed, "outgoing": waiting}
