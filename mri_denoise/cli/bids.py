"""``mri-denoise bids``: a BIDS App (Gorgolewski et al., PLOS Computational Biology 2017, 13(3): e1005209)."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from mri_denoise import __version__
from mri_denoise.bids.layout import Layout
from mri_denoise.bids.names import bare_label
from mri_denoise.bids.selection import Wanted, select
from mri_denoise.cli import common
from mri_denoise.cli.choices import MODEL_HELP, QUALITY_HELP, TTA_HELP, Quality, make_settings
from mri_denoise.cli.dataset import Request, choose, denoise_dataset
from mri_denoise.cli.json_output import json_option, print_json
from mri_denoise.cli.pages import write_pages
from mri_denoise.io.share import Share
from mri_denoise.pipeline.files import record_path
from mri_denoise.settings import DEFAULTS


class Level(str, Enum):
    """Levels of analysis of a BIDS App."""

    participant = "participant"
    group = "group"


class OutputLayout(str, Enum):
    """How results are laid out."""

    derivative = "derivative"
    raw = "raw"


def _version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


Labels = list[str] | None


def bids(
    bids_dir: Annotated[Path, typer.Argument(metavar="BIDS_DIR", help="Root of the raw BIDS data set.")],
    output_dir: Annotated[
        Path,
        typer.Argument(metavar="OUTPUT_DIR", help="Folder of the results, such as BIDS_DIR/derivatives/mri-denoise."),
    ],
    level: Annotated[
        Level, typer.Argument(metavar="participant|group", help="participant denoises; group makes one table of all.")
    ],
    participant_label: Annotated[
        Labels, typer.Option("--participant-label", "--participant_label", help="Participants; all by default.")
    ] = None,
    session_label: Annotated[
        Labels, typer.Option("--session-label", "--session_label", help="Sessions; all by default.")
    ] = None,
    task_label: Annotated[
        Labels, typer.Option("--task-label", "--task_label", help="Of images with a task only these.")
    ] = None,
    run_label: Annotated[
        Labels, typer.Option("--run-label", "--run_label", help="Of images with a run only these.")
    ] = None,
    suffix: Annotated[
        Labels, typer.Option("--suffix", help="Kinds of images, as T1w; all magnitudes by default.")
    ] = None,
    bids_filter_file: Annotated[
        Path | None, typer.Option("--bids-filter-file", "--bids_filter_file", help="Filters in JSON, as fMRIPrep's.")
    ] = None,
    output_layout: Annotated[
        OutputLayout, typer.Option("--output-layout", help="raw: a data set that pipelines read as input.")
    ] = OutputLayout.derivative,
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = "rician",
    sigma: Annotated[str, typer.Option(help="Noise level: auto, map (local), or a number.")] = str(DEFAULTS.sigma),
    strength: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="0 gives the input back, 1 is full.")
    ] = DEFAULTS.strength,
    quality: Annotated[Quality, typer.Option(help=QUALITY_HELP)] = Quality(DEFAULTS.quality),
    residual: Annotated[bool, typer.Option("--residual", help="Also write what was removed (desc-residual).")] = False,
    noise_map: Annotated[bool, typer.Option("--noise-map", help="Also write the noise level (desc-sigma).")] = False,
    figure: Annotated[
        bool, typer.Option("--figure", help="Also draw input, output and residual, under logs/.")
    ] = False,
    report: Annotated[
        bool, typer.Option("--report", help="Also write an HTML page of each scan, and of all, under logs/.")
    ] = False,
    guard: Annotated[
        bool, typer.Option("--guard/--no-guard", help="Give back what was removed and noise does not explain.")
    ] = DEFAULTS.guard,
    tta: Annotated[bool, typer.Option("--tta", help=f"{TTA_HELP} (desc-uncertainty)")] = DEFAULTS.tta,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = DEFAULTS.device,
    jobs: Annotated[int, typer.Option(min=1, help="Scans denoised side by side, sharing cores and memory.")] = 1,
    scheduler: common.Scheduler = None,
    share: common.ShareOption = None,
    n_cpus: Annotated[
        int | None,
        typer.Option("--n-cpus", "--n_cpus", "--nprocs", min=1, help="Processor cores in all; all by default."),
    ] = None,
    mem_mb: Annotated[
        int | None,
        typer.Option("--mem-mb", "--mem_mb", min=1, help="Megabytes in all: fewer jobs, and no scan that needs more."),
    ] = None,
    work_dir: Annotated[
        Path | None, typer.Option("-w", "--work-dir", help="Accepted; nothing is kept between runs but the results.")
    ] = None,
    bids_database_dir: Annotated[
        Path | None, typer.Option("--bids-database-dir", help="Accepted; the data set is not indexed.")
    ] = None,
    skip_bids_validation: Annotated[
        bool,
        typer.Option("--skip-bids-validation", "--skip_bids_validation", help="Take a folder without its description."),
    ] = False,
    skull_stripped: Annotated[
        bool, typer.Option("--skull-stripped", help="Sources have no skull; said in JSON files where theirs do not.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Denoise again what is up to date.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what participant would do, and write nothing.")
    ] = False,
    trust: common.Trust = False,
    as_json: Annotated[bool, json_option()] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Denoise a BIDS data set: what is missing or has changed. Results are a BIDS derivative."""
    bids_dir, output_dir, sigma, parallel = common.parallel(
        bids_dir, output_dir, sigma, jobs=jobs, cores=n_cpus, memory_mb=mem_mb, scheduler=scheduler
    )
    settings = make_settings(
        sigma=sigma,
        strength=strength,
        quality=quality.value,
        guard=guard,
        tta=tta,
        device=device,
        extras={"residual": residual, "noise-map": noise_map, "uncertainty": tta, "figure": figure, "report": report},
        overwrite=overwrite,
    )
    request = Request(
        dataset=bids_dir,
        output=output_dir,
        model=model,
        trust=trust,
        settings=settings,
        wanted=replace(
            _wanted(participant_label, session_label, task_label, run_label, suffix, bids_filter_file),
            share=common.parse_share(share),
        ),
        kind=output_layout.value,
        parallel=parallel,
        lenient=skip_bids_validation,
        skull_stripped=skull_stripped,
        dry_run=dry_run,
        as_json=as_json,
    )
    raise typer.Exit(_group(request) if level is Level.group else denoise_dataset(request))


def _wanted(
    participants: Labels, sessions: Labels, tasks: Labels, runs: Labels, suffixes: Labels, filter_file: Path | None
) -> Wanted:
    """What is selected; ends with code 2 for a filter file that cannot be used."""
    from mri_denoise.bids.filters import Filters, read_filters

    with common.one_line_errors(common.WRONG_USAGE):
        filters = Filters() if filter_file is None else read_filters(filter_file)
    return Wanted(
        participants=_labels(participants, "sub"),
        sessions=_labels(sessions, "ses"),
        tasks=_labels(tasks, "task"),
        runs=_labels(runs, "run"),
        suffixes=tuple(suffixes or ()),
        filters=filters,
    )


def _labels(given: Labels, entity: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(bare_label(label, entity) for label in given or ()))


def _group(request: Request) -> int:
    """The group level; the exit code."""
    from mri_denoise.bids.group import write_group

    if request.dry_run:
        common.stop("--dry-run: is for the participant level; the group level writes one table.", common.WRONG_USAGE)
    if request.wanted.share != Share():
        common.stop("--share: is for the participant level; the group level is run once, for all.", common.WRONG_USAGE)
    dataset, selection = choose(request, absent_too=True)
    if not (request.output / "dataset_description.json").is_file():
        common.stop(f"{request.output}: holds no results; run the participant level first.", common.SOME_FAILED)
    with common.one_line_errors():
        layout = Layout(kind=request.kind)
        others = () if request.wanted == Wanted() else select(dataset, Wanted(), absent_too=True).scans
        group = write_group(selection.scans, others, layout, request.output)
    failed = [(scan.label, why) for scan, why in group.failed]
    failed += [(str(skip.source), skip.reason) for skip in selection.skips if skip.damaged]
    failed += [(f"sub-{label}", "no such participant") for label in selection.absent]
    for scan, why in group.failed:
        common.messages.print(f"failed {scan.label}: {why}")
    if "report" in request.settings.extras:
        records = [record_path(layout.case(scan), request.output) for scan in group.done]
        unreported = write_pages(records, request.output, group=True)
        for _, error in unreported:
            common.messages.print(f"failed {error}")
        failed += unreported
    for scan in group.missing:
        common.messages.print(f"failed {scan.label}: has no result; run the participant level for it")
    done, missing = len(group.done), [scan.label for scan in group.missing]
    if request.as_json:
        answer = {"table": str(group.table), "done": done, "missing": missing, "kept": group.kept}
        print_json({**answer, "failed": [{"case": label, "error": error} for label, error in failed]})
    else:
        kept = f" {group.kept} row{'s' * (group.kept != 1)} of scans not selected kept." if group.kept else ""
        counts = f"{done} scan{'s' * (done != 1)} done, {len(missing)} missing, {len(failed)} failed"
        common.say(f"{group.table}: {counts}.{kept}")
    return common.SOME_FAILED if missing or failed else common.DONE
