"""``mri-denoise denoise``."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mri_denoise import settings as choices
from mri_denoise.cli import common
from mri_denoise.io.case import Case, Skip
from mri_denoise.settings import DEFAULTS, Extra, Settings, Sigma

if TYPE_CHECKING:  # the command line answers faster without
    from mri_denoise.bundles.registry import Bundle
    from mri_denoise.pipeline.stream import Outcome
    from mri_denoise.record import RunRecord


class Planes(str, Enum):
    """Planes along which volumes are cut into slices."""

    auto = "auto"
    one = "1"
    three = "3"

    @property
    def number(self) -> choices.Planes:
        """As in the settings."""
        return {Planes.one: 1, Planes.three: 3}.get(self, "auto")  # type: ignore[return-value]


def denoise(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="A file, a DICOM folder, or a folder of files.")],
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="A file for one file, otherwise a folder.")],
    model: Annotated[str, typer.Option(help="rician, salt-pepper, or the folder of a MONAI bundle.")] = "rician",
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
    planes: Annotated[
        Planes, typer.Option(help="Slice along 1 plane (fast) or 3 and average (better); auto: 3 if nearly isotropic.")
    ] = Planes(DEFAULTS.planes),
    guard: Annotated[
        bool, typer.Option("--guard/--no-guard", help="Give back what was removed and noise does not explain.")
    ] = DEFAULTS.guard,
    picture_size: Annotated[
        int | None, typer.Option(min=8, help="Resize pictures to N x N (the paper: 256); kept by default.")
    ] = DEFAULTS.picture_size,
    keep_vendor_headers: Annotated[
        bool, typer.Option("--keep-vendor-headers", help="DICOM: keep private blocks that describe the old pixels.")
    ] = False,
    to_nifti: Annotated[bool, typer.Option("--to-nifti", help="Write DICOM series as NIfTI files.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also take phase images, maps, masks and DICOM localizers.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Images denoised side by side, sharing the cores and memory.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Make results that exist again.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the run records as JSON.")] = False,
) -> None:
    """Denoise MR images; results keep their headers, type and place in the folder tree."""
    from mri_denoise.pipeline.resume import find_todo

    chosen: dict[Extra, bool] = {"residual": residual, "noise-map": noise_map, "figure": figure}
    settings = _settings(
        sigma=sigma,
        strength=strength,
        planes=planes.number,
        guard=guard,
        picture_size=picture_size,
        device=device,
        extras=[extra for extra, wanted in chosen.items() if wanted],
        keep_vendor_headers=keep_vendor_headers,
    )
    cases, skips = common.find_cases(source, output, force=force)
    if to_nifti:
        cases, skips = _as_nifti(cases, skips)
    cases, folder = common.place(cases, source, output)
    _say_notes(cases)
    bundle = _bundle(model, settings)
    with common.one_line_errors(common.WRONG_USAGE):
        todo = find_todo(cases, folder, bundle, settings, overwrite=overwrite)
    failed = [(case.label, error) for case, error in todo.refused]
    done: list[RunRecord] = []
    if todo.ready:
        outcomes = _run(bundle, list(todo.ready), folder, settings, as_json, jobs)
        done = [outcome.record for outcome in outcomes if outcome.record is not None]
        failed += [(outcome.case.label, outcome.error) for outcome in outcomes if outcome.error is not None]
    _report(done, todo.done, skips, failed, as_json)
    raise typer.Exit(common.exit_code(len(done) + len(todo.done), len(failed), skips))


def _settings(*, sigma: str, extras: list[Extra], **choices: Any) -> Settings:
    """The user's choices; ends with code 2 for one that is out of its range."""
    with common.one_line_errors(common.WRONG_USAGE):
        level = Sigma.parse(sigma)
        if level.path is not None and not level.path.is_file():
            wanted = "auto, map, a number from 0 on, or the file of a noise map"
            common.stop(f"--sigma {sigma}: must be {wanted}.", common.WRONG_USAGE)
        return Settings(sigma=level, extras=tuple(extras), **choices)


def _bundle(model: str, settings: Settings) -> Bundle:
    """The bundle of a model; ends with code 2 for one that is not there, or does not know what was chosen."""
    from mri_denoise.bundles.registry import find_bundle

    with common.one_line_errors(common.WRONG_USAGE):
        bundle = find_bundle(model)
    if "sigma" not in bundle.options and ("noise-map" in settings.extras or settings.sigma != DEFAULTS.sigma):
        common.stop(f"model {model} does not use a noise level: no --sigma, no --noise-map.", common.WRONG_USAGE)
    if "planes" not in bundle.options and settings.planes != DEFAULTS.planes:
        common.stop(f"model {model} does not average over planes: no --planes.", common.WRONG_USAGE)
    return bundle


def _as_nifti(cases: list[Case], skips: list[Skip]) -> tuple[list[Case], list[Skip]]:
    """Let DICOM be written as NIfTI, and list what cannot be."""
    from mri_denoise.io.dicom.to_nifti import as_nifti

    named, left = as_nifti(cases)
    for skip in left:
        common.messages.print(f"skipped {skip.source}: {skip.reason}")
    return named, [*skips, *left]


def _say_notes(cases: list[Case]) -> None:
    """Say once for each series what is unusual about it."""
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
        common.print_json(
            {
                "done": [record.as_dict() for record in done],
                "done_before": [case.label for case in before],
                "skipped": [{"path": str(s.source), "reason": s.reason, "damaged": s.damaged} for s in skips],
                "failed": [{"case": label, "error": error} for label, error in failed],
            }
        )
        return
    damaged = sum(s.damaged for s in skips)
    if before:
        print(f"{len(before)} done before by the same weights and settings, left as they are.")
    print(f"{len(done)} denoised, {len(skips) - damaged} skipped, {len(failed) + damaged} failed.")


def _run(
    bundle: Bundle, cases: list[Case], folder: Path, settings: Settings, as_json: bool, jobs: int
) -> list[Outcome]:
    """Denoise with a bar, and a line for each case; ends with code 2 if the bundle cannot be run."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from mri_denoise.pipeline.batch import denoise_cases

    watched, single = common.interactive(), len(cases) == 1
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=common.messages, disable=not watched or single, transient=True) as bar:
        task = bar.add_task("denoising", total=len(cases))

        def report(outcome: Outcome) -> None:
            bar.advance(task)
            if outcome.record is not None and not as_json:
                bar.console.print(_line(outcome.case, outcome.record, folder))

        with common.one_line_errors(common.WRONG_USAGE):
            return denoise_cases(bundle, cases, folder, settings, report=report, jobs=jobs, progress=watched and single)


def _line(case: Case, record: RunRecord, folder: Path) -> str:
    """What was done to a case, in one line."""
    level = ", ".join(f"{sigma:.4g}" for sigma in (record.sigma or [])[:3])
    more = " ..." if len(record.sigma or []) > 3 else ""
    noise = f"  sigma {level}{more}" if level else ""
    return f"{case.label} -> {folder / case.output}{noise}  {record.seconds:.1f} s"
