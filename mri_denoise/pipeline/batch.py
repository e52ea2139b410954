"""Many images denoised: in a pipeline, or side by side; those that fail do not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

from mri_denoise.bundles.registry import Bundle
from mri_denoise.errors import InputError
from mri_denoise.io.case import Case
from mri_denoise.pipeline.workflow import DenoiseWorkflow, Settings
from mri_denoise.runtime import quiet


def denoise(
    bundle: Bundle,
    cases: Sequence[Case],
    output_dir: Path,
    settings: Settings,
    on_case: Callable[[Case, dict[str, Any] | None, str | None], None] = lambda case, record, error: None,
    jobs: int = 1,
) -> tuple[list[dict[str, Any]], list[tuple[Case, str]]]:
    """Denoise cases; those that fail are listed and the rest goes on.

    Args:
        bundle: what to run.
        cases: at least one.
        output_dir: where the results go.
        settings: the user's choices.
        on_case: called after each case with its record or its error, in the order of ``cases``; from another thread
            than the caller's, one at a time.
        jobs: how many cases side by side, each in a process with its share of the cores.

    Returns:
        the run records of those that were done, and those that failed with one line each.

    Raises:
        InputError: if the bundle itself cannot be run.
    """
    done: list[dict[str, Any]] = []
    failed: list[tuple[Case, str]] = []

    def report(case: Case, kind: str, value: Any) -> None:
        if kind == "done":
            done.append(value)
            on_case(case, value, None)
        else:
            failed.append((case, value))
            on_case(case, None, value)

    if jobs > 1 and len(cases) > 1:
        from mri_denoise.pipeline.workers import denoise_side_by_side

        with closing(denoise_side_by_side(bundle, cases, output_dir, settings, jobs)) as outcomes:
            for case, (kind, value) in zip(cases, outcomes, strict=True):
                if kind == "unusable":
                    raise InputError(value)
                report(case, kind, value)
    else:
        with quiet():  # for both threads: what is switched off is the process's
            _one_by_one(bundle, cases, output_dir, settings, report)
    return done, failed


def _one_by_one(
    bundle: Bundle,
    cases: Sequence[Case],
    output_dir: Path,
    settings: Settings,
    report: Callable[[Case, str, Any], None],
) -> None:
    """Denoise case by case; a thread reads the next one, writes the last one and reports it meanwhile.

    In order: each image is written before another one is read. So there is at any time one image more in memory than
    those of the case at hand.
    """
    background = ThreadPoolExecutor(1, thread_name_prefix="files")

    def tell(case: Case, finish: Callable[[], dict[str, Any]]) -> None:
        outcome: tuple[str, Any]
        try:
            outcome = "done", finish()
        except InputError as error:
            outcome = "failed", str(error)
        report(case, *outcome)

    told: list[Future[None]] = []
    workflow = DenoiseWorkflow(bundle, cases, output_dir, settings, background)
    try:
        for case, following in zip(cases, [*cases[1:], None], strict=True):
            try:
                finish = workflow.begin(case, following)
            except InputError as error:
                told.append(background.submit(report, case, "failed", str(error)))
            else:
                told.append(background.submit(tell, case, finish))  # by then the case is written: jobs keep their order
            while told and told[0].done():
                told.pop(0).result()
        for last in told:
            last.result()
    finally:
        background.shutdown(cancel_futures=True)
        workflow.abandon()
    workflow.close()
