"""Cases side by side in worker processes, which share the processor's cores among them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from mri_denoise.bundles.registry import Bundle
from mri_denoise.denoiser import Denoiser
from mri_denoise.errors import InputError
from mri_denoise.io.case import Case
from mri_denoise.pipeline.stream import Outcome, denoise_case
from mri_denoise.runtime import end_tidily, usable_cores
from mri_denoise.settings import Settings

_GRACE = 10.0  # seconds that a process gets to remove what is half-written


def denoise_side_by_side(
    bundle: Bundle,
    cases: Sequence[Case],
    output_dir: Path,
    settings: Settings,
    jobs: int,
    cores: int | None = None,
) -> Generator[Outcome, None, None]:
    """Denoise cases in ``jobs`` processes.

    Args:
        bundle: what to run.
        cases: at least one.
        output_dir: where the results go.
        settings: the user's choices.
        jobs: how many processes at most.
        cores: how many cores they share; by default all that this process may use.

    Yields:
        the outcome of each case, in the order of ``cases`` whatever the order in which they end. A process that dies
        fails its case alone; another takes its place.

    Raises:
        InputError: if the bundle itself cannot be run.
    """
    jobs = min(jobs, len(cases))
    start = (bundle, output_dir, settings, max((cores or usable_cores()) // jobs, 1))
    workers = [_Worker(start) for _ in range(jobs)]
    outcomes: dict[int, Outcome | InputError] = {}
    news, queue = threading.Condition(), iter(range(len(cases)))

    def feed(worker: _Worker) -> None:
        while True:
            with news:
                number = next(queue, None)
            if number is None:
                worker.dismiss()
                return
            outcome = worker.run(cases[number])
            with news:
                outcomes[number] = outcome
                news.notify_all()

    feeders = [threading.Thread(target=feed, args=(worker,), daemon=True) for worker in workers]
    for feeder in feeders:
        feeder.start()
    try:
        for number in range(len(cases)):
            with news:
                while number not in outcomes:
                    news.wait()
                outcome = outcomes.pop(number)
            if isinstance(outcome, InputError):
                raise outcome
            yield outcome
        for feeder in feeders:
            feeder.join()
    finally:  # after an interrupt, too
        for worker in workers:
            worker.stop()


class _Worker:
    """A process that denoises one case after another; started when needed, and again when it has died.

    ``ProcessPoolExecutor`` gives up the whole pool, with all cases that wait, when one of its processes dies.
    """

    def __init__(self, start: tuple[Bundle, Path, Settings, int]) -> None:
        self._start = start
        self._process: Any = None
        self._connection: Connection | None = None

    def run(self, case: Case) -> Outcome | InputError:
        """Denoise a case and wait for its outcome, or for the error that makes the bundle useless."""
        try:
            if self._connection is None:
                self._begin()
            assert self._connection is not None
            self._connection.send(case)
            return self._connection.recv()
        except (EOFError, OSError):
            self.stop()
            reason = "its worker process ended, perhaps because memory ran out; use fewer --jobs"
            return Outcome(case=case, error=f"{case.label}: {reason}")

    def _begin(self) -> None:
        context = multiprocessing.get_context("spawn")  # a forked copy of torch's threads would hang
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, *self._start), daemon=True)
        self._process.start()
        other.close()

    def dismiss(self) -> None:
        """Let the process end by itself."""
        if self._connection is not None:
            try:
                self._connection.send(None)
            except OSError:
                return
            self._process.join()

    def stop(self) -> None:
        """End the process, whatever it does."""
        if self._process is not None:
            self._process.terminate()
            self._process.join(_GRACE)
            self._process.kill()
            self._process.join()
        if self._connection is not None:
            self._connection.close()
        self._process = self._connection = None


def _serve(connection: Connection, bundle: Bundle, output_dir: Path, settings: Settings, threads: int) -> None:
    """What a worker process does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it
    end_tidily()
    os.environ["OMP_NUM_THREADS"] = str(threads)
    import torch

    torch.set_num_threads(threads)
    denoiser: Denoiser | None = None
    while (case := connection.recv()) is not None:
        try:
            denoiser = denoiser or Denoiser(bundle, device=settings.device)
        except InputError as error:
            connection.send(error)
            continue
        try:
            connection.send(Outcome(case=case, record=denoise_case(denoiser, case, output_dir, settings)))
        except InputError as error:
            connection.send(Outcome(case=case, error=str(error)))
