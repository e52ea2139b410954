"""Many images denoised: in one process, or side by side in several; those that fail do not stop the others."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from mri_denoise.bundles.registry import Bundle
from mri_denoise.denoiser import Denoiser
from mri_denoise.io.case import Case
from mri_denoise.pipeline.stream import Outcome, Report, denoise_stream
from mri_denoise.settings import Settings


def denoise_cases(
    bundle: Bundle,
    cases: Sequence[Case],
    output_dir: Path,
    settings: Settings,
    *,
    report: Report = lambda outcome: None,
    jobs: int = 1,
    cores: int | None = None,
    progress: bool = False,
) -> list[Outcome]:
    """Denoise cases; those that fail are listed and the rest goes on.

    Args:
        bundle: what to run.
        cases: at least one.
        output_dir: where the results go.
        settings: the user's choices.
        report: called after each case with its outcome, in the order of ``cases``; from another thread than the
            caller's, one at a time.
        jobs: how many cases side by side, each in a process with its share of the cores.
        cores: how many processor cores may be used in all; by default all that this process may use.
        progress: whether the slices of each case are counted on a bar.

    Returns:
        the outcome of each case, in their order.

    Raises:
        InputError: if the bundle itself cannot be run.
    """
    outcomes: list[Outcome] = []

    def keep(outcome: Outcome) -> None:
        outcomes.append(outcome)
        report(outcome)

    if jobs > 1 and len(cases) > 1:
        from mri_denoise.pipeline.workers import denoise_side_by_side

        with closing(denoise_side_by_side(bundle, cases, output_dir, settings, jobs, cores)) as done:
            for outcome in done:
                keep(outcome)
    else:
        if cores is not None:
            import torch

            torch.set_num_threads(cores)
        denoiser = Denoiser(bundle, device=settings.device, progress=progress)
        denoise_stream(denoiser, cases, output_dir, settings, keep)
    return outcomes
