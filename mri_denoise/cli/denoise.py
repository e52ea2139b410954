"""``mri-denoise denoise``."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from mri_denoise.cli import common
from mri_denoise.errors import InputError
from mri_denoise.io.case import Case, Skip


class Planes(str, Enum):
    """Planes along which volumes are cut into slices."""

    auto = "auto"
    one = "1"
    three = "3"

    @property
    def number(self) -> int | str:
        """What the workflow takes."""
        return self.value if self is Planes.auto else int(self.value)


def denoise(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="A file, a DICOM folder, or a folder of files.")],
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="A file for one file, otherwise a folder.")],
    model: Annotated[str, typer.Option(help="rician, salt-pepper, or the folder of a MONAI bundle.")] = "rician",
    sigma: Annotated[
        str, typer.Option(help="Noise level: auto, map (local), a number in the file's units, or a NIfTI map of it.")
    ] = "auto",
    strength: Annotated[float, typer.Option(min=0.0, max=1.0, help="0 gives the input back, 1 is full.")] = 1.0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    residual: Annotated[bool, typer.Option("--residual", help="Also write what was removed.")] = False,
    noise_map: Annotated[bool, typer.Option("--noise-map", help="Also write the noise level at each voxel.")] = False,
    figure: Annotated[bool, typer.Option("--figure", help="Also draw input, output and residual.")] = False,
    planes: Annotated[
        Planes, typer.Option(help="Slice along 1 plane (fast) or 3 and average (better); auto: 3 if nearly isotropic.")
    ] = Planes.auto,
    picture_size: Annotated[
        int | None, typer.Option(min=8, help="Resize pictures to N x N (the paper: 256); kept by default.")
    ] = None,
    keep_vendor_headers: Annotated[
        bool, typer.Option("--keep-vendor-headers", help="DICOM: keep private blocks that describe the old pixels.")
    ] = False,
    to_nifti: Annotated[bool, typer.Option("--to-nifti", help="Of DICOM, write NIfTI files.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also phase images, maps, masks, and of DICOM localizers and the like.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Images denoised side by side, sharing the cores and memory.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results that exist.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the run records as JSON.")] = False,
) -> None:
    """Denoise MR images; results keep their headers, type and place in the folder tree."""
    cases, skips = common.find_cases(source, output, force=force)
    if to_nifti:
        cases, skips = _as_nifti(cases, skips)
    cases, folder = common.place(cases, source, output)
    extras = [n for n, wanted in (("residual", residual), ("noise-map", noise_map), ("figure", figure)) if wanted]
    _check_sigma(sigma)
    _say_notes(cases)
    ready = [c for c in cases if overwrite or not common.already_there(c, folder)]
    failed = [
        (c.label, f"{folder / c.output}: exists; use --overwrite to replace it.") for c in cases if c not in ready
    ]
    done: list[dict[str, Any]] = []
    if ready:
        from mri_denoise.bundles.registry import find_bundle

        with common.one_line_errors(common.WRONG_USAGE):
            bundle = find_bundle(model)
        if "sigma" not in bundle.options and (noise_map or sigma != "auto"):
            common.stop(f"model {model} does not use a noise level: no --sigma, no --noise-map.", common.WRONG_USAGE)
        if "planes" not in bundle.options and planes is not Planes.auto:
            common.stop(f"model {model} does not average over planes: no --planes.", common.WRONG_USAGE)
        from mri_denoise.pipeline.workflow import Settings

        bar = common.interactive() and len(ready) == 1
        settings = Settings(
            sigma, strength, device, extras, planes.number, picture_size, keep_vendor_headers, progress=bar
        )
        done, new_failures = _run(bundle, ready, folder, settings, as_json, jobs)
        failed += new_failures
    _report(done, skips, failed, as_json)
    raise typer.Exit(common.exit_code(len(done), len(failed), skips))


def _as_nifti(cases: list[Case], skips: list[Skip]) -> tuple[list[Case], list[Skip]]:
    """Let DICOM be written as NIfTI, and list what cannot be."""
    from mri_denoise.io.dicom.to_nifti import as_nifti

    named, left = as_nifti(cases)
    for skip in left:
        common.messages.print(f"skipped {skip.source}: {skip.reason}")
    return named, [*skips, *left]


def _say_notes(cases: list[Case]) -> None:
    """Say once for each series what is unusual about it."""
    said = dict.fromkeys(
        (case.output.as_posix(), note) for case in cases if case.kind == "dicom" for note in case.details.notes
    )
    for output, note in said:
        common.messages.print(f"note {output}: {note}")


def _say_uneven(case: Case, record: dict[str, Any]) -> None:
    """Say when one noise level for the whole image is clearly not enough."""
    from mri_denoise.noise.level import UNEVEN

    variation = max(record.get("sigma_variation") or [1.0])
    if variation > UNEVEN:
        common.messages.print(
            f"note {case.label}: its noise varies over the image by a factor of {variation:.1f}; try --sigma map."
        )


def _report(done: list[dict[str, Any]], skips: list[Skip], failed: list[tuple[str, str]], as_json: bool) -> None:
    """Say what was done, left alone and failed."""
    for _, error in failed:
        common.messages.print(f"failed {error}")
    if as_json:
        common.print_json(
            {
                "done": done,
                "skipped": [{"path": str(s.source), "reason": s.reason, "damaged": s.damaged} for s in skips],
                "failed": [{"case": label, "error": error} for label, error in failed],
            }
        )
        return
    damaged = sum(s.damaged for s in skips)
    print(f"{len(done)} denoised, {len(skips) - damaged} skipped, {len(failed) + damaged} failed.")


def _check_sigma(sigma: str) -> None:
    """A number, ``auto``, ``map`` or a file that exists; otherwise wrong usage."""
    if sigma in ("auto", "map"):
        return
    try:
        wrong = not 0 <= float(sigma) < float("inf")
    except ValueError:
        wrong = not Path(sigma).is_file()
    if wrong:
        common.stop(
            f"--sigma {sigma}: must be auto, map, a number from 0 on, or the file of a noise map.", common.WRONG_USAGE
        )


def _run(
    bundle: Any, cases: list[Case], folder: Path, settings: Any, as_json: bool, jobs: int
) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """Denoise with a bar, and a line for each case."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from mri_denoise.pipeline.batch import denoise as run

    watched = common.interactive()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=common.messages, disable=not watched or len(cases) == 1, transient=True) as bar:
        task = bar.add_task("denoising", total=len(cases))

        def on_case(case: Case, record: dict[str, Any] | None, error: str | None) -> None:
            bar.advance(task)
            if record is not None and not as_json:
                level = ", ".join(f"{s:.4g}" for s in (record["sigma"] or [])[:3])
                noise = f"  sigma {level}{' ...' if len(record['sigma'] or []) > 3 else ''}" if level else ""
                bar.console.print(f"{case.label} -> {folder / case.output}{noise}  {record['seconds']:.1f} s")
                _say_uneven(case, record)

        try:
            done, failures = run(bundle, cases, folder, settings, on_case, jobs)
        except InputError as error:
            common.stop(str(error), common.WRONG_USAGE)
    return done, [(case.label, message) for case, message in failures]
