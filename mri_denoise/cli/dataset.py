"""Denoise a BIDS data set: what `bids` and `denoise` do with one, with its messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mri_denoise.bids.dataset import Dataset, open_dataset
from mri_denoise.bids.description import check_output
from mri_denoise.bids.layout import Kind, Layout
from mri_denoise.bids.selection import Selection, Wanted, select
from mri_denoise.cli import common
from mri_denoise.cli.choices import find_model
from mri_denoise.cli.json_output import print_json
from mri_denoise.cli.pages import write_pages
from mri_denoise.cli.watch import Watched, watch
from mri_denoise.pipeline.files import record_path
from mri_denoise.pipeline.parallel import Parallel
from mri_denoise.settings import Settings

if TYPE_CHECKING:  # the command line answers faster without
    from mri_denoise.bids.run import Plan
    from mri_denoise.pipeline.outcome import Listener, Outcome


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a user asks for.

    Args:
        dataset: root of the raw data.
        output: folder of the results.
        model: as on the command line.
        trust: run the code of a bundle that is not known here.
        settings: the choices for each image.
        wanted: which images.
        kind: how results are laid out.
        parallel: how many scans at a time, and where; its memory also bounds what a scan may need.
        lenient: take a data set without a description.
        skull_stripped: said in the JSON files where the source says nothing.
        dry_run: say what would be done.
        as_json: print JSON.
    """

    dataset: Path
    output: Path
    model: str
    settings: Settings
    wanted: Wanted = field(default_factory=Wanted)
    kind: Kind = "derivative"
    parallel: Parallel = field(default_factory=Parallel)
    lenient: bool = False
    skull_stripped: bool = False
    dry_run: bool = False
    as_json: bool = False
    trust: bool = False


def denoise_dataset(request: Request) -> int:
    """Denoise the participants of a data set.

    Returns:
        the exit code.
    """
    dataset, selection = choose(request)
    bundle = find_model(request.model, request.settings, trust=request.trust)
    from mri_denoise.bids.fieldmaps import carry_fieldmaps
    from mri_denoise.bids.run import Job, denoise_scans, plan_scans, prepare, side_by_side

    with common.one_line_errors(common.WRONG_USAGE):
        job = Job(
            dataset=dataset,
            output=request.output,
            layout=Layout(kind=request.kind),
            bundle=bundle,
            settings=request.settings,
            skull_stripped=request.skull_stripped,
        )
    with common.busy("looking at earlier results"):
        plans = plan_scans(job, selection.scans, limit_mb=request.parallel.memory_mb)
    _say_plans(plans)
    watched = Watched(outcomes=[])
    if not request.dry_run:
        with common.one_line_errors():
            prepare(job)
        limit = request.parallel.memory_mb
        asked, jobs = request.parallel.jobs, side_by_side(plans, request.parallel.jobs, limit, tta=request.settings.tta)
        if jobs < asked:
            common.messages.print(f"note: {jobs} scans side by side, not {asked}, to stay below --mem-mb.")

        def run(listener: Listener) -> list[Outcome]:
            return denoise_scans(job, plans, listener=listener, parallel=replace(request.parallel, jobs=jobs))

        due = sum(bool(plan.why) and not plan.error for plan in plans)
        watched = watch(run, due, request.output, quiet=request.as_json, again=request.settings.overwrite)
    errors = {plan.scan.label: plan.error for plan in plans if plan.error}
    errors |= {outcome.case.label: outcome.error for outcome in watched.outcomes if outcome.error}
    ended = not (request.dry_run or watched.interrupted)
    if request.kind == "raw" and ended:
        with common.busy("copying field maps"):
            errors |= dict(carry_fieldmaps(dataset, request.output, job.layout, selection.scans))
    if "report" in request.settings.extras and ended:
        before = [record_path(plan.case, request.output) for plan in plans if not plan.why and not plan.error]
        errors |= dict(write_pages(before, request.output, group=True))
    code = _report(request, selection, plans, watched.outcomes, errors)
    return watched.interrupted or code


def choose(request: Request, *, absent_too: bool = False) -> tuple[Dataset, Selection]:
    """Open the data set, check the output, and select; the command ends here if there is nothing to do.

    Exit code 2 for a data set or an output that cannot be used, if no participant asked for exists, or fewer than there
    are shares; 1 if nothing is left to do.

    Args:
        request: what a user asks for.
        absent_too: take images whose content is not here.
    """
    with common.one_line_errors(common.WRONG_USAGE):
        dataset = open_dataset(request.dataset, lenient=request.lenient)
        check_output(dataset, request.output, request.kind)
    with common.one_line_errors(common.WRONG_USAGE), common.busy("looking for images"):
        selection = select(dataset, request.wanted, absent_too=absent_too)
    common.say_skips(selection.skips)
    names = common.first_names(dataset.participants)
    for label in selection.absent:
        common.messages.print(f"failed participant {label}: not in {dataset.root} (it has {names})")
    if selection.absent and len(selection.absent) == len(set(request.wanted.participants)):
        common.stop(f"{dataset.root}: has none of the participants asked for.", common.WRONG_USAGE)
    if not selection.scans:
        common.stop(f"{dataset.root}: no image to denoise is left after the selection.", common.SOME_FAILED)
    return dataset, selection


def _say_plans(plans: Sequence[Plan]) -> None:
    """Say what was selected, and what must be done."""
    for plan in plans:
        if not plan.error:
            common.messages.print(f"selected {plan.scan.label}: {plan.why or 'up to date'}")
    kinds = Counter(plan.scan.name.suffix for plan in plans)
    counted = ", ".join(f"{count} {suffix}" for suffix, count in sorted(kinds.items()))
    people = len({plan.scan.name.entities["sub"] for plan in plans})
    due = sum(bool(plan.why) and not plan.error for plan in plans)
    common.messages.print(
        f"{len(plans)} scan{'s' * (len(plans) != 1)} of {people} participant{'s' * (people != 1)} selected "
        f"({counted}), {due} to denoise."
    )


def _report(
    request: Request,
    selection: Selection,
    plans: Sequence[Plan],
    outcomes: Sequence[Outcome],
    errors: Mapping[str, str],
) -> int:
    """Say what was done; the exit code."""
    for error in errors.values():
        common.messages.print(f"failed {error}")
    done = [outcome.record for outcome in outcomes if outcome.record is not None]
    current = [plan.scan.label for plan in plans if not plan.why and plan.scan.label not in errors]
    due = [plan.scan.label for plan in plans if plan.why and not plan.error]
    damaged = [skip for skip in selection.skips if skip.damaged]
    failed = [{"case": label, "error": error} for label, error in errors.items()]
    failed += [{"case": f"sub-{label}", "error": "no such participant"} for label in selection.absent]
    if request.as_json:
        answer: dict[str, Any] = {
            "selected": [scan.label for scan in selection.scans],
            "due": due,
            "done": [record.as_dict() for record in done],
            "done_before": current,
            "skipped": common.as_records(selection.skips),
            "failed": failed,
        }
        print_json(answer)
    else:
        what = f"{len(due)} to denoise" if request.dry_run else f"{len(done)} denoised"
        left = len(selection.skips) - len(damaged)
        common.say(f"{what}, {len(current)} up to date, {left} skipped, {len(failed) + len(damaged)} failed.")
    return common.SOME_FAILED if failed or damaged else common.DONE
