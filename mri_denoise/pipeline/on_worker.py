"""What runs in a worker of a Dask cluster: the check whether it fits a run, a case, and an early end."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from distributed import Worker, WorkerPlugin, get_worker

from mri_denoise import __version__
from mri_denoise.bundles.registry import Bundle, find_bundle
from mri_denoise.bundles.weights import sha256
from mri_denoise.errors import InputError
from mri_denoise.io.case import Case
from mri_denoise.pipeline.files import planned_files, sweep_results
from mri_denoise.record import RunRecord
from mri_denoise.runtime import ToldToEnd, choose_device, end_if_told, ends_when, quiet
from mri_denoise.settings import Settings

if TYPE_CHECKING:  # what starts a run needs no torch
    from mri_denoise.denoiser import Denoiser


@dataclass(frozen=True, kw_only=True)
class Order:
    """What all cases of a run share.

    Args:
        run: a name that no other run has.
        model: how :func:`mri_denoise.bundles.registry.find_bundle` finds the bundle.
        fingerprint: of the bundle where the run was started (:func:`fingerprint`).
        output_dir: where the results go.
        settings: the user's choices.
        version: of mri-denoise where the run was started.
    """

    run: str
    model: str
    fingerprint: str
    output_dir: Path
    settings: Settings
    version: str = __version__


@dataclass(frozen=True, kw_only=True)
class Done:
    """What became of a case in a worker.

    Args:
        worker: its host and name, or its address; that if it is unfit.
        record: the run record, if it was done.
        error: why it failed, in one line, if it failed.
        unfit: why this worker may not do it, in one line, if it may not.
    """

    worker: str
    record: RunRecord | None = None
    error: str | None = None
    unfit: str | None = None


class ForCommand(WorkerPlugin):
    """For workers that a command started: it alone ends them (Ctrl-C reaches them, too), and says what is to say."""

    def setup(self, worker: Worker) -> None:
        """Called when a worker starts."""
        logging.disable(logging.CRITICAL)
        with suppress(ValueError):  # not in the main thread
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def fingerprint(bundle: Bundle) -> str:
    """Give the SHA-256 of what decides about the result: all weights, if there are any, and ``inference.yaml``."""
    decisive = (bundle.weights, *bundle.other_weights.values(), bundle.config("inference.yaml"))
    return " ".join(sha256(path) for path in decisive if path.is_file())


def why_unfit(order: Order, probes: Sequence[Path] = ()) -> str | None:
    """Say why this worker may not denoise for a run.

    Args:
        order: the run.
        probes: files that the run has seen, and that must be here, too.

    Returns:
        None if it may; otherwise the reason in a few words.
    """
    if __version__ != order.version:
        return f"has mri-denoise {__version__}, not {order.version}; install the same version"
    try:
        if fingerprint(find_bundle(order.model)) != order.fingerprint:
            return f"has other weights or another config of {order.model}; install the same bundle"
        choose_device(order.settings.device)
    except InputError as error:
        return str(error)
    for path in probes:
        if not path.exists():
            return f"does not see {path}; workers need the same folders at the same paths"
    if probes and not os.access(order.output_dir, os.W_OK):
        return f"may not write in {order.output_dir}; change its access rights"
    return None


_one_at_a_time = threading.Lock()  # a worker with several threads uses them for one case
_ended: set[str] = set()  # runs
_loaded: tuple[tuple[str, str], Denoiser] | None = None


def denoise_here(order: Order, case: Case) -> Done:
    """Denoise a case in this worker; the network is loaded with the first one.

    Raises:
        InputError: if the bundle cannot be run.
    """
    worker = get_worker()
    own = str(worker.name)  # its address, if nobody named it
    name = own if "://" in own else f"{socket.gethostname()}/{own}"
    with _one_at_a_time, ends_when(lambda: order.run in _ended):
        try:
            end_if_told()
            return _denoise(order, case, name, worker.state.nthreads)
        except ToldToEnd:
            return Done(worker=name, error=f"{case.label}: stopped, since the run ends")


def _denoise(order: Order, case: Case, name: str, threads: int) -> Done:
    global _loaded
    key = (order.fingerprint, order.settings.device)
    known = _loaded is not None and _loaded[0] == key and __version__ == order.version
    if not known and (reason := why_unfit(order)):
        return Done(worker=get_worker().address, unfit=reason)
    import torch

    from mri_denoise.denoiser import Denoiser
    from mri_denoise.pipeline.stream import denoise_case

    planned = [] if order.settings.overwrite else planned_files(case, order.output_dir, order.settings.extras)
    if any(path.exists() for path in planned):
        sweep_results([case], order.output_dir)  # of a worker that died while it published this case
    torch.set_num_threads(threads)
    if _loaded is None or not known:
        _loaded = None  # never two networks in memory
        _loaded = (key, Denoiser(find_bundle(order.model), device=order.settings.device))
    try:
        with quiet():
            return Done(worker=name, record=denoise_case(_loaded[1], case, order.output_dir, order.settings))
    except InputError as error:
        return Done(worker=name, error=str(error))


def end_run(run: str) -> None:
    """Give up the case of a run, and start none of it any more. What is half-written is removed, as after an error.

    Called in the worker's event loop; the case is in another thread, which asks between its steps.
    """
    _ended.add(run)
