"""Denoise the scans of a data set: what is missing or has changed, each with its JSON file and what travels with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mri_denoise.bids.dataset import Dataset
from mri_denoise.bids.description import describe
from mri_denoise.bids.files import as_json, write_if_new
from mri_denoise.bids.inheritance import Companion, Inheritance
from mri_denoise.bids.intended import FIELD, pointing
from mri_denoise.bids.layout import LOGS, Image, Layout
from mri_denoise.bids.memory import megabytes
from mri_denoise.bids.scan import Scan
from mri_denoise.bids.sidecars import sidecar
from mri_denoise.bids.state import forget, model_of, read_record, why_due
from mri_denoise.bundles.registry import Bundle, Model
from mri_denoise.errors import InputError, OutputError
from mri_denoise.io.case import Case
from mri_denoise.pipeline.batch import denoise_cases
from mri_denoise.pipeline.files import record_path, sweep_results
from mri_denoise.pipeline.outcome import Listener, Outcome
from mri_denoise.pipeline.parallel import Parallel
from mri_denoise.pipeline.resume import Resumption
from mri_denoise.settings import Settings

IMAGES: tuple[Image, ...] = ("denoised", "sigma", "residual", "uncertainty", "guard")


@dataclass(frozen=True, kw_only=True)
class Job:
    """What all scans of a run share.

    Args:
        dataset: the raw data.
        output: the folder of the results.
        layout: their names.
        bundle: that denoises.
        settings: the user's choices.
        skull_stripped: whether the sources have no skull, where their metadata do not say so.
    """

    dataset: Dataset
    output: Path
    layout: Layout
    bundle: Bundle
    settings: Settings
    skull_stripped: bool = False
    model: Model = field(init=False)

    def __post_init__(self) -> None:
        if self.settings.sigma.path is not None:
            raise InputError(f"sigma {self.settings.sigma}: a map fits one image, not a data set; use auto or map")
        object.__setattr__(self, "model", model_of(self.bundle))


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is known of a scan before a run.

    Args:
        scan: the source.
        case: it, with the places of its results.
        metadata: what the source's JSON files say.
        companions: the files that travel with it.
        why: why it must be denoised; empty if its result is there and current.
        error: why it cannot be denoised, in one line.
    """

    scan: Scan
    case: Case
    metadata: Mapping[str, Any] = field(default_factory=dict)
    companions: Sequence[Companion] = ()
    why: str = ""
    error: str = ""


def prepare(job: Job) -> None:
    """Write what the output says of itself, before the first result.

    Raises:
        OutputError: if it cannot be written.
    """
    describe(job.dataset, job.output, job.layout.kind, job.model, job.settings, job.bundle.options)


def plan_scans(job: Job, scans: Sequence[Scan], *, limit_mb: int | None = None) -> list[Plan]:
    """See what must be done; no voxel is read, but sources of earlier results are hashed.

    Args:
        job: what all scans share.
        scans: what was selected.
        limit_mb: memory that denoising a scan may take.
    """
    sweep_results([job.layout.case(scan) for scan in scans], job.output)
    inheritance, resumption = Inheritance(job.dataset.root), Resumption(job.bundle, job.settings)
    return [_plan(job, scan, inheritance, resumption, limit_mb) for scan in scans]


def _plan(job: Job, scan: Scan, inheritance: Inheritance, resumption: Resumption, limit_mb: int | None) -> Plan:
    case = job.layout.case(scan)
    try:
        metadata, companions = inheritance.metadata(scan), inheritance.companions(scan)
        why = why_due(case, job.output, resumption) or ("overwritten as asked" if job.settings.overwrite else "")
        if why and limit_mb is not None and (need := megabytes(case, tta=job.settings.tta)) > limit_mb:
            raise InputError(f"{scan.path}: needs about {need} MB of memory, more than the limit of {limit_mb} MB")
    except InputError as error:
        told = str(error)  # a JSON file higher up applies to many scans: say which cannot be denoised for it
        return Plan(scan=scan, case=case, error=told if str(scan.path) in told else f"{scan.label}: {told}")
    return Plan(scan=scan, case=case, metadata=metadata, companions=companions, why=why)


def side_by_side(plans: Sequence[Plan], jobs: int, limit_mb: int | None, *, tta: bool = False) -> int:
    """How many scans may be denoised side by side within a limit of memory, at most ``jobs``."""
    due = [plan for plan in plans if plan.why and not plan.error]
    if limit_mb is None or jobs == 1 or not due:
        return jobs
    return max(min(jobs, limit_mb // max(megabytes(plan.case, tta=tta) for plan in due)), 1)


def denoise_scans(
    job: Job,
    plans: Sequence[Plan],
    *,
    listener: Listener = Listener(),
    parallel: Parallel = Parallel(),
) -> list[Outcome]:
    """Denoise what must be, and complete what is there already.

    Args:
        job: what all scans share.
        plans: of :func:`plan_scans`; those with an error are passed over.
        listener: is called while the run goes on.
        parallel: how many scans at a time, and where.

    Returns:
        the outcomes of the scans that were denoised, and of others that could not be completed.

    Raises:
        InputError: if the bundle cannot be run.
    """
    usable = [plan for plan in plans if not plan.error]
    failed = [outcome for plan in usable if not plan.why and (outcome := _complete(job, plan)).error]
    due: dict[str, Plan] = {}
    for plan in usable:
        if plan.why:
            try:
                forget(plan.case, job.output, job.settings)
                _forget_sidecars(job, plan.scan)
                due[plan.case.label] = plan
            except InputError as error:
                failed.append(Outcome(case=plan.case, error=str(error)))
    for outcome in failed:
        listener.advance()
        listener.report(outcome)
    done: list[Outcome] = []

    def finish(outcome: Outcome) -> None:
        if outcome.record is not None:
            error = _complete(job, due[outcome.case.label]).error
            outcome = replace(outcome, record=None, error=error) if error else outcome
        done.append(outcome)
        listener.report(outcome)

    if due:
        cases = [plan.case for plan in due.values()]
        denoise_cases(
            job.bundle,
            cases,
            job.output,
            replace(job.settings, overwrite=True),  # what is due is replaced
            listener=replace(listener, report=finish),
            parallel=parallel,
            logs=job.output / LOGS,
        )
    return [*failed, *_point_again(job, usable, done)]


def _point_again(job: Job, plans: Sequence[Plan], done: Sequence[Outcome]) -> list[Outcome]:
    """The outcomes, once images that are for others (`IntendedFor`) name the results that came after theirs, too."""
    pointing_on = [plan for plan in plans if FIELD in plan.metadata and read_record(plan.case, job.output)]
    errors = {plan.case.label: error for plan in pointing_on if (error := _complete(job, plan).error)}
    return [
        replace(outcome, record=None, error=errors[outcome.case.label])
        if outcome.record is not None and outcome.case.label in errors
        else outcome
        for outcome in done
    ]


def _complete(job: Job, plan: Plan) -> Outcome:
    """Write what belongs to the images of a scan: their JSON files, and the files that travel with them."""
    try:
        record = read_record(plan.case, job.output)
        if record is None:
            raise OutputError(f"{record_path(plan.case, job.output)}: cannot be read back; run again")
        for companion in plan.companions:
            write_if_new(job.output / job.layout.companion(plan.scan, companion.name), companion.content())
        metadata = pointing(plan.metadata, plan.scan, job.output, job.layout)
        for what in IMAGES:
            if (job.output / job.layout.image(plan.scan, what)).is_file():
                content = sidecar(what, plan.scan, metadata, record, skull_stripped=job.skull_stripped)
                write_if_new(job.output / job.layout.sidecar(plan.scan, what), as_json(content))
    except InputError as error:
        return Outcome(case=plan.case, error=str(error))
    return Outcome(case=plan.case)


def _forget_sidecars(job: Job, scan: Scan) -> None:
    """Remove JSON files whose image is not there any more."""
    for what in IMAGES:
        if not (job.output / job.layout.image(scan, what)).exists():
            (job.output / job.layout.sidecar(scan, what)).unlink(missing_ok=True)
