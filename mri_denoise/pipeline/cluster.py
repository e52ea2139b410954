"""Clusters of Dask: one on this computer for as long as a run takes, or one that runs already."""

from __future__ import annotations

import logging
import multiprocessing
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager, suppress
from multiprocessing import resource_tracker
from pathlib import Path

import dask
from distributed import Client, LocalCluster, Security
from distributed.system import MEMORY_LIMIT

from mri_denoise.errors import InputError, reason
from mri_denoise.io.leftovers import Temporary
from mri_denoise.pipeline.on_worker import ForCommand
from mri_denoise.pipeline.parallel import Parallel
from mri_denoise.runtime import quiet, usable_cores

ANSWER_SECONDS = 10
_LEAST_MB = 600  # the program and a small image
TRIES = 3  # of a case whose workers die
_CONFIG = {
    "distributed.scheduler.allowed-failures": TRIES - 1,
    "distributed.worker.memory.target": False,  # nothing is kept in the workers that could be put to disk
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,  # one that holds back memory would wait for ever
    "distributed.worker.memory.terminate": 0.95,
    "distributed.admin.tick.limit": "1h",  # no warnings of a loop that a library held up
}


@contextmanager
def open_cluster(parallel: Parallel, cases: int) -> Iterator[Client]:
    """A client of the cluster that a run uses.

    Args:
        parallel: where cases are denoised.
        cases: how many there are.

    Raises:
        InputError: if the scheduler does not answer, or this computer is too small for so many workers.
    """
    opened = _running(parallel.scheduler) if parallel.scheduler else _local(parallel, min(parallel.jobs, cases))
    with quiet(), opened as client:
        yield client


@contextmanager
def _local(parallel: Parallel, jobs: int) -> Iterator[Client]:
    """Workers on this computer, which share its cores and memory; a nanny starts another where one dies.

    Nothing listens beyond the loopback interface, and nobody without the run's own certificate is answered: otherwise
    other users of this computer could have code run.
    """
    memory = (parallel.memory_mb or MEMORY_LIMIT // 10**6) // jobs
    if memory < _LEAST_MB:
        fits = max(memory * jobs // _LEAST_MB, 1)
        raise InputError(f"--jobs {jobs}: leaves {memory} MB for each, {_LEAST_MB} are needed; use at most {fits}.")
    threads = max((parallel.cores or usable_cores()) // jobs, 1)
    variables = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    scratch = Temporary(
        Path(tempfile.gettempdir()), Path.mkdir, hidden=False
    )  # swept by the next run if this is killed
    folder = str(scratch.path)
    with closing(scratch), dask.config.set({**_CONFIG, "temporary-directory": folder}):
        try:
            cluster = _started(
                lambda: LocalCluster(
                    n_workers=jobs,
                    threads_per_worker=threads,
                    memory_limit=memory * 10**6,
                    security=Security.temporary(),
                    dashboard_address=None,
                    local_directory=folder,
                    silence_logs=logging.CRITICAL,
                    env={name: str(threads) for name in variables},
                    plugins=(ForCommand(),),
                )
            )
        except (OSError, RuntimeError) as error:
            raise InputError(
                f"--jobs {jobs}: the workers cannot be started ({reason(error)}); use --jobs 1."
            ) from error
        try:
            with Client(cluster) as client:
                yield client
        finally:
            with _undisturbed():
                cluster.close()


def _started(start: Callable[[], LocalCluster]) -> LocalCluster:
    """Start a cluster in a thread of its own, so that what ends the command (Ctrl-C, SIGTERM) does not cut it in two.

    Half of a cluster cannot be closed, and would leave its workers behind. Ctrl-C reaches all processes of a terminal;
    for those that the thread starts, now or later, it is blocked, as they would end with a traceback while they import.
    """
    before = multiprocessing.active_children()
    with ThreadPoolExecutor(1, initializer=_block_interrupts) as thread:
        starting = thread.submit(start)
        try:
            return starting.result()
        except BaseException:
            with _undisturbed():
                _give_up(starting, before)
            raise


def _give_up(starting: Future[LocalCluster], before: Sequence[object]) -> None:
    """End a cluster that is perhaps half-started, but for processes that were there before it."""
    while not wait([starting], timeout=0.1).done:  # without its workers the start fails at once
        for child in multiprocessing.active_children():
            if child not in before:
                child.kill()
    with suppress(Exception):
        starting.result().close()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let nothing but the end of the block end it: who presses Ctrl-C again would leave workers behind."""
    if threading.current_thread() is not threading.main_thread():  # no signal ends it there
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def _block_interrupts() -> None:
    """In this thread, and in the threads and processes that it starts."""
    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        resource_tracker.ensure_running()  # which would let them through again, where it is not running yet
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


@contextmanager
def _running(address: str) -> Iterator[Client]:
    """A cluster of somebody else, which is left as it is."""
    try:
        client = Client(address, timeout=ANSWER_SECONDS)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"--scheduler {address}: no Dask scheduler answers there within {ANSWER_SECONDS} s ({reason(error)}); "
            "check the address, as tcp://host:8786, and that `dask scheduler` runs."
        ) from error
    with client:
        yield client
