"""Clusters of Dask: one on this computer for as long as a run takes, or one that runs already."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
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
            cluster = LocalCluster(
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
        except (OSError, RuntimeError) as error:
            raise InputError(
                f"--jobs {jobs}: the workers cannot be started ({reason(error)}); use --jobs 1."
            ) from error
        with cluster, Client(cluster) as client:
            yield client


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
