"""Many images denoised: in one process, or by the workers of a cluster; those that fail do not stop the others."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from mri_denoise.bundles.registry import Bundle
from mri_denoise.errors import OutputError
from mri_denoise.io.case import Case
from mri_denoise.pipeline.outcome import Listener, Outcome
from mri_denoise.pipeline.parallel import Parallel
from mri_denoise.pipeline.table import Table, open_table
from mri_denoise.runtime import quick_start, quiet
from mri_denoise.settings import Settings


def denoise_cases(
    bundle: Bundle,
    cases: Sequence[Case],
    output_dir: Path,
    settings: Settings,
    *,
    listener: Listener = Listener(),
    parallel: Parallel = Parallel(),
    logs: Path | None = None,
) -> list[Outcome]:
    """Denoise cases; those that fail are listed and the rest goes on.

    Args:
        bundle: what to run.
        cases: at least one.
        output_dir: where the results go.
        settings: the user's choices.
        listener: is called while the run goes on.
        parallel: how many cases at a time, and where.
        logs: the folder for the table of a run on a cluster, by default ``output_dir``.

    Returns:
        the outcome of each case, in their order.

    Raises:
        InputError: if the bundle itself, or the cluster, cannot be used.
    """
    if parallel.on_cluster(len(cases)):
        return _on_cluster(bundle, cases, output_dir, settings, listener, parallel, logs or output_dir)
    outcomes: list[Outcome] = []

    def keep(outcome: Outcome) -> None:
        outcomes.append(outcome)
        listener.advance()
        listener.report(outcome)

    with quiet():
        with quick_start():
            from mri_denoise.denoiser import Denoiser  # a run on a cluster needs no torch here
            from mri_denoise.pipeline.stream import denoise_stream

            denoiser = Denoiser(bundle, device=settings.device, progress=listener.slices)
        if parallel.cores is not None:
            import torch

            torch.set_num_threads(parallel.cores)
        denoise_stream(denoiser, cases, output_dir, settings, keep)
    return outcomes


def _on_cluster(
    bundle: Bundle,
    cases: Sequence[Case],
    output_dir: Path,
    settings: Settings,
    listener: Listener,
    parallel: Parallel,
    logs: Path,
) -> list[Outcome]:
    """The same by workers of Dask, with a table of the run."""
    # Read when Dask is imported, here and in the workers: its messages are for who runs a cluster
    os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "critical")
    from mri_denoise.pipeline.cohort import denoise_cohort

    ended: dict[int, Outcome] = {}
    outcomes: list[Outcome] = []
    try:
        with ExitStack() as stack:
            table: Table | None = None
            run = closing(denoise_cohort(bundle, cases, output_dir, settings, parallel, listener.note))
            for count, (number, done) in enumerate(stack.enter_context(run)):
                if count == 0:  # a run that cannot begin leaves no table
                    try:
                        table = stack.enter_context(open_table(logs, output_dir))
                    except OutputError as error:
                        listener.note(str(error))
                ended[number] = Outcome(case=cases[number], record=done.record, error=done.error)
                if table is not None:
                    table.add(cases[number], done.record, done.error, done.worker)
                listener.advance()
                while (following := ended.pop(len(outcomes), None)) is not None:
                    outcomes.append(following)
                    listener.report(following)
    finally:  # of a run that ends early: what was done before a case ahead of it
        for number in sorted(ended):
            listener.report(ended[number])
    return outcomes
