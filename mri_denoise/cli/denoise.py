"""``mri-denoise denoise``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mri_denoise.bids.dataset import is_dataset
from mri_denoise.bids.selection import Wanted
from mri_denoise.cli import common
from mri_denoise.cli.choices import MODEL_HELP, QUALITY_HELP, TTA_HELP, Quality, find_model, make_settings
from mri_denoise.cli.dataset import Request, denoise_dataset
from mri_denoise.cli.json_output import json_option, print_json
from mri_denoise.cli.pages import write_pages
from mri_denoise.cli.watch import watch
from mri_denoise.io.case import Case, Skip
from mri_denoise.pipeline.files import left_out, record_path
from mri_denoise.settings import DEFAULTS

if TYPE_CHECKING:  # the command line answers faster without
    from mri_denoise.pipeline.outcome import Listener, Outcome
    from mri_denoise.record import RunRecord


def denoise(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="A file, a DICOM folder, or a folder of files.")],
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="A file for one file, otherwise a folder.")],
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = "rician",
    sigma: Annotated[
        str, typer.Option(help="Noise level: auto, map (local), a number in the file's units, or a NIfTI map of it.")
    ] = str(DEFAULTS.sigma),
    strength: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="0 gives the input back, 1 is full.")
    ] = DEFAULTS.strength,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = DEFAULTS.device,
    residual: Annotated[bool, typer.Option("--residual", help="Also write what was removed.")] = False,
    noise_map: Annotated[bool, typer.Option("--noise-map", help="Also write the noise level at each voxel.")] = False,
    figure: Annotated[bool, typer.Option("--figure", help="Also draw input, output and residual.")] = False,
    report: Annotated[bool, typer.Option("--report", help="Also write an HTML page of each scan, and of all.")] = False,
    quality: Annotated[Quality, typer.Option(help=QUALITY_HELP)] = Quality(DEFAULTS.quality),
    guard: Annotated[
        bool, typer.Option("--guard/--no-guard", help="Give back what was removed and noise does not explain.")
    ] = DEFAULTS.guard,
    guard_map: Annotated[bool, typer.Option("--guard-map", help="Also write where something was given back.")] = False,
    tta: Annotated[bool, typer.Option("--tta", help=TTA_HELP)] = DEFAULTS.tta,
    picture_size: Annotated[
        int | None, typer.Option(min=8, help="Resize pictures to N x N (the paper: 256); kept by default.")
    ] = DEFAULTS.picture_size,
    keep_vendor_headers: Annotated[
        bool, typer.Option("--keep-vendor-headers", help="DICOM: keep private blocks that describe the old pixels.")
    ] = False,
    plain_names: Annotated[
        bool, typer.Option("--plain-names", help="DICOM: name results by series numbers, without descriptions.")
    ] = False,
    to_nifti: Annotated[bool, typer.Option("--to-nifti", help="Write DICOM series as NIfTI files.")] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Also take phase images, maps, masks, DICOM localizers and own results."),
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Images denoised side by side, sharing the cores and memory.")] = 1,
    scheduler: common.Scheduler = None,
    share: common.ShareOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Make results that exist again.")] = False,
    trust: common.Trust = False,
    as_json: Annotated[bool, json_option("Print the run records as JSON.")] = False,
) -> None:
    """Denoise MR images; results keep their headers, type and place in the folder tree."""
    from mri_denoise.pipeline.resume import find_todo

    source, output, sigma, parallel = common.parallel(source, output, sigma, jobs=jobs, scheduler=scheduler)
    settings = make_settings(
        sigma=sigma,
        strength=strength,
        quality=quality.value,
        guard=guard,
        tta=tta,
        picture_size=picture_size,
        device=device,
        extras={
            "residual": residual,
            "noise-map": noise_map,
            "uncertainty": tta,
            "guard-map": guard_map,
            "figure": figure,
            "report": report,
        },
        keep_vendor_headers=keep_vendor_headers,
        overwrite=overwrite,
    )
    part = common.parse_share(share)
    for_dicom = {
        "--to-nifti": to_nifti,
        "--plain-names": plain_names,
        "--keep-vendor-headers": keep_vendor_headers,
    }
    if is_dataset(source):
        _say_idle(for_dicom, "DICOM", there=False)
        _say_idle({"--picture-size": picture_size is not None}, "pictures", there=False)
        asked = Request(
            dataset=source,
            output=output,
            model=model,
            trust=trust,
            settings=settings,
            parallel=parallel,
        )
        raise typer.Exit(denoise_dataset(replace(asked, wanted=Wanted(everything=force, share=part), as_json=as_json)))
    cases, skips = common.find_cases(source, output, force=force, own_results=force)
    _say_idle(for_dicom, "DICOM", there=any(case.series for case in cases))
    _say_idle({"--picture-size": picture_size is not None}, "pictures", there=any(case.picture for case in cases))
    if to_nifti:
        _say_idle({"--keep-vendor-headers": keep_vendor_headers}, "results that are DICOM", there=False)
    if plain_names:
        from mri_denoise.io.dicom.plain_names import without_descriptions

        cases = without_descriptions(cases)
    if to_nifti:
        cases, skips = _as_nifti(cases, skips)
    cases, folder = common.place(cases, source, output)
    with common.one_line_errors(common.WRONG_USAGE):  # all have their names: they may depend on each other
        part.check(len(cases), "images")
    several, cases = len(cases) > 1, part.of(cases)
    _say_notes(cases, folder)
    bundle = find_model(model, settings, trust=trust)
    with common.one_line_errors(common.WRONG_USAGE), common.busy("looking at earlier results"):
        todo = find_todo(cases, folder, bundle, settings)
    failed = [(case.label, error) for case, error in todo.refused]
    done: list[RunRecord] = []
    interrupted = 0
    if todo.ready:
        if parallel.scheduler is None:  # otherwise others write
            from mri_denoise.io.files import check_writable

            with common.one_line_errors():
                check_writable(folder)

        def run(listener: Listener) -> list[Outcome]:
            from mri_denoise.pipeline.batch import denoise_cases

            return denoise_cases(bundle, todo.ready, folder, settings, listener=listener, parallel=parallel)

        watched = watch(run, len(todo.ready), folder, quiet=as_json, again=overwrite)
        done = [outcome.record for outcome in watched.outcomes if outcome.record is not None]
        failed += [(outcome.case.label, outcome.error) for outcome in watched.outcomes if outcome.error is not None]
        interrupted = watched.interrupted
    if report and not interrupted:
        before = [record_path(case, folder) for case in todo.done]
        failed += write_pages(before, folder, group=several)
    _report(done, todo.done, skips, failed, as_json)
    if interrupted:
        raise typer.Exit(interrupted)
    raise typer.Exit(common.exit_code(len(done) + len(todo.done), len(failed), skips))


def _say_idle(options: Mapping[str, bool], kind: str, *, there: bool) -> None:
    """Say which of the options that were given have no effect, because no image is of their kind."""
    for option in (option for option, given in options.items() if given and not there):
        common.messages.print(f"note {option}: has no effect here, it is for {kind}")


def _as_nifti(cases: list[Case], skips: list[Skip]) -> tuple[list[Case], list[Skip]]:
    """Let DICOM be written as NIfTI, and list what cannot be."""
    from mri_denoise.io.dicom.to_nifti import as_nifti

    named, left = as_nifti(cases)
    common.say_skips(left)
    return named, [*skips, *left]


def _say_notes(cases: list[Case], folder: Path) -> None:
    """Say once for each series what is unusual about it, and what belongs to an image and cannot be copied."""
    for line in (line for case in cases for line in left_out(case, folder)):
        common.messages.print(f"note {line}")
    said = dict.fromkeys((case.output.as_posix(), note) for case in cases for note in case.notes)
    for output, note in said:
        common.messages.print(f"note {output}: {note}")


def _report(
    done: list[RunRecord], before: Sequence[Case], skips: list[Skip], failed: list[tuple[str, str]], as_json: bool
) -> None:
    """Say what was done, left alone and failed."""
    for _, error in failed:
        common.messages.print(f"failed {error}")
    if as_json:
        print_json(
            {
                "done": [record.as_dict() for record in done],
                "done_before": [case.label for case in before],
                "skipped": common.as_records(skips),
                "failed": [{"case": label, "error": error} for label, error in failed],
            }
        )
        return
    damaged = sum(s.damaged for s in skips)
    if before:
        print(f"{len(before)} done before by the same weights and settings, left as they are.")
    print(f"{len(done)} denoised, {len(skips) - damaged} skipped, {len(failed) + damaged} failed.")
