"""``mri-denoise benchmark safety``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from mri_denoise.cli import checks, common
from mri_denoise.cli.benchmark import shared
from mri_denoise.cli.choices import QUALITY_HELP, Quality


def safety(
    output: Annotated[Path, typer.Option(help="Folder of tables, record and cache; a second run goes on there.")],
    quick: Annotated[bool, typer.Option("--quick", help="A small phantom and few draws: a minute, rough.")] = False,
    level: Annotated[float, typer.Option(min=0.1, max=50, help="Sigma of the noise in percent of the maximum.")] = 5.0,
    draws: Annotated[int | None, typer.Option(min=2, help="Draws of noise; 20, or 4 with --quick.")] = None,
    diameters: Annotated[
        str | None, typer.Option(help="Of the lesions in mm, with commas; 2,4,8, or 4,8 on the phantom of --quick.")
    ] = None,
    amplitudes: Annotated[
        str | None, typer.Option(help="Contrast of lesions and vessels in sigma; 1,2,3,5,10, or 2,5,10 with --quick.")
    ] = None,
    volumes: Annotated[
        list[Path] | None,
        typer.Option(help="A real volume, or a folder of them; may be given again."),
    ] = None,
    parts: Annotated[
        str | None, typer.Option(help="clean, noise, draws, symmetry, fine, mirror, with commas; all by default.")
    ] = None,
    methods: Annotated[str | None, typer.Option(help="Names, with commas between them; all by default.")] = None,
    model: Annotated[str, typer.Option(help="A model that takes a noise level, or the folder of a bundle.")] = "rician",
    quality: Annotated[Quality, typer.Option(help=QUALITY_HELP)] = Quality.balanced,
    seed: Annotated[int, typer.Option(min=0, help="Seed of noise and lesions.")] = 0,
    device: shared.Device = "auto",
    trust: common.Trust = False,
    as_json: shared.AsJson = False,
) -> None:
    """What a denoiser takes away, makes up and changes: lesions, vessels, noise alone, tissue, residual, symmetry."""
    checks.need_folder(output)
    with common.one_line_errors(common.WRONG_USAGE), common.busy("loading the methods"):
        from mri_denoise.benchmarks.methods import load_methods
        from mri_denoise.benchmarks.references import references_in
        from mri_denoise.benchmarks.safety.methods import candidates
        from mri_denoise.benchmarks.safety.plan import FULL, QUICK
        from mri_denoise.benchmarks.safety.run import choose_parts, run_safety

        known = candidates(common.find_model(model, trust=trust), device, quality.value)
        chosen_parts = choose_parts(shared.words(parts))
        real = references_in(volumes or [])
        chosen = load_methods(known, shared.words(methods) if methods else None)
    from mri_denoise.benchmarks.safety.report import write_report

    plan = QUICK if quick else FULL
    plan = replace(plan, level=level, seed=seed, draws=draws or plan.draws)
    if diameters:
        plan = replace(plan, diameters=_within("--diameters", diameters, 0.5, 8, "mm"))
    if amplitudes:
        plan = replace(plan, amplitudes=_within("--amplitudes", amplitudes, 0.1, 50, "sigma"))
    with common.one_line_errors():
        bars = shared.Bars(transient=True)
        results = run_safety(chosen.found, plan, output / "cache", parts=chosen_parts, volumes=real, progress=bars)
        record = write_report(chosen, results, plan, output)
    for failure in results.failures:
        common.messages.print(f"failed {failure.method}, {failure.stage}: {failure.reason}")
    for label, hint in chosen.absent.items():
        common.messages.print(f"absent {label}: {hint}")
    count = sum(len(findings) for findings in results.findings.values())
    if not count:
        common.stop("nothing could be measured.", common.SOME_FAILED)
    beyond = len(record["beyond"])  # type: ignore[arg-type]
    shared.show(record, f"{count} numbers, {beyond} of ours beyond a limit: {output / 'safety.md'}", as_json)
    raise typer.Exit(common.SOME_FAILED if results.failures else common.DONE)


def _within(option: str, text: str, low: float, high: float, unit: str) -> tuple[float, ...]:
    """The numbers of an option; ends with code 2 for anything outside of the range."""
    found = checks.numbers(option, text, float)
    if not all(low <= number <= high for number in found):
        common.stop(f"{option} {text}: must be from {low:g} to {high:g} {unit}.", common.WRONG_USAGE)
    return tuple(found)
