"""The node: a receiver, a worker and a sender that share a queue."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mri_denoise.errors import InputError, OutputError
from mri_denoise.node import commitment, destinations
from mri_denoise.node.incoming import Incoming
from mri_denoise.node.lock import is_running, locked
from mri_denoise.node.receiver import Receiver
from mri_denoise.node.sender import Sender
from mri_denoise.node.settings import NodeSettings
from mri_denoise.node.spool import STATES, Spool
from mri_denoise.node.worker import Worker

_IDLE_SECONDS = 0.2
_FORGET_SECONDS = 60.0
logger = logging.getLogger(__name__)


def serve(settings: NodeSettings, stop: threading.Event) -> None:
    """Run a node until `stop` is set; `log.logging_to` shows what it does.

    Args:
        settings: its settings.
        stop: to be set from a signal handler or another thread.

    Raises:
        InputError: if it cannot start, for instance because the queue is in use or the port is taken.
    """
    os.umask(0o077)
    spool, limits = Spool(settings.spool), settings.limits
    incoming = Incoming(spool, queue_gb=limits.queue_gb, free_gb=limits.free_gb)
    target = destinations.make(settings)
    receiver = Receiver(settings, spool, incoming)
    with locked(spool.root) as lock:
        spool.recover()
        worker = Worker(settings, spool, lock)
        sender = Sender(settings, spool, target)
        receiver.start()
        worker.start()
        listen = settings.listen
        logger.info("listening", extra={"ae_title": listen.ae_title, "host": listen.host, "port": receiver.port})
        threads = [
            _repeat("worker", worker.step, _IDLE_SECONDS, stop),
            _repeat("sender", sender.step, _IDLE_SECONDS, stop),
            _repeat("commitment", commitment.Reporter(settings, spool).step, _IDLE_SECONDS, stop),
            _repeat("queue", lambda: bool(spool.forget(settings.keep_days)), _FORGET_SECONDS, stop),
        ]
        try:
            _keep_promoting(settings, incoming, receiver, stop)
        finally:
            stop.set()
            receiver.stop()
            worker.stop()
            for thread in threads:
                thread.join(limits.timeout_seconds)
            logger.info("stopped")


def _keep_promoting(settings: NodeSettings, incoming: Incoming, receiver: Receiver, stop: threading.Event) -> None:
    quiet = settings.series
    while not stop.wait(_IDLE_SECONDS):
        try:
            receiver.prune()
            for one in incoming.promote(quiet.quiet_seconds, quiet.quiet_after_abort_seconds):
                event = "complete" if one.images else "nothing new"
                logger.info(event, extra={"series": one.series, "images": one.images})
        except (OSError, OutputError) as error:  # for instance a full disk: the next attempt may succeed
            logger.error("error", extra={"where": "queue", "reason": error})
            stop.wait(1.0)


def _repeat(name: str, step: Callable[[], bool], pause: float, stop: threading.Event) -> threading.Thread:
    """Call `step` again and again in a thread: at once while it finds something to do, and also after an error."""

    def loop() -> None:
        while not stop.is_set():
            try:
                if step():
                    continue
            except Exception as error:
                if not stop.is_set():
                    logger.error("error", extra={"where": name, "reason": f"{type(error).__name__}: {error}"})
                    stop.wait(1.0)
            stop.wait(pause)

    thread = threading.Thread(target=loop, name=name, daemon=True)
    thread.start()
    return thread


@dataclass(frozen=True, kw_only=True)
class FailedSeries:
    """A series in ``failed``, and why."""

    series: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class WaitingSeries:
    """A series in ``outgoing``, and why the last attempt to send it did not succeed; None before the first."""

    series: str
    error: str | None


@dataclass(frozen=True, kw_only=True)
class Status:
    """What a queue holds.

    Args:
        running: whether a node uses the queue.
        series: how many series are in each state.
        failed: those that failed.
        outgoing: those that wait to be sent.
    """

    running: bool
    series: dict[str, int]
    failed: tuple[FailedSeries, ...]
    outgoing: tuple[WaitingSeries, ...]


def status(queue: Path) -> Status:
    """Count what lies in a queue; a node may be running.

    Args:
        queue: its folder.

    Raises:
        InputError: if there is no queue yet, or it belongs to another user.
    """
    try:
        found = (queue / STATES[0]).is_dir()
    except PermissionError as error:
        raise InputError(f"{queue}: {error.strerror}; ask as the user who runs the node") from error
    if not found:
        raise InputError(f"{queue}: no queue of a node; start one first, or check the path")
    spool = Spool(queue)
    failed = [(one, spool.job("failed", one)) for one in spool.series("failed")]
    waiting = [(one, spool.job("outgoing", one)) for one in spool.series("outgoing")]
    return Status(
        running=is_running(spool.root),
        series={state: len(spool.series(state)) for state in STATES},
        failed=tuple(FailedSeries(series=one, reasons=job.failed if job else ()) for one, job in failed),
        outgoing=tuple(WaitingSeries(series=one, error=job.error if job else None) for one, job in waiting),
    )
