"""``mri-denoise benchmark accuracy``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mri_denoise.cli import checks, common
from mri_denoise.cli.benchmark import shared


def accuracy(
    references: Annotated[
        list[Path], typer.Argument(metavar="REFERENCE...", help="Clean volumes, or datalist.json with --split.")
    ],
    output: Annotated[Path, typer.Option(help="Folder of tables, figures and the cache; a second run goes on there.")],
    levels: Annotated[str, typer.Option(help="Noise levels in percent of the maximum.")] = "1,3,5,7,9,15",
    methods: Annotated[str | None, typer.Option(help="Names, with commas between them; all by default.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="A model or bundle of ours; may be given again.")] = None,
    split: Annotated[str, typer.Option(help="Which part of a datalist: test, validation or training.")] = "test",
    middle: Annotated[
        int | None, typer.Option(min=8, help="Only so many slices in the middle; all by default.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the noise.")] = 0,
    device: shared.Device = "auto",
    trust: common.Trust = False,
    as_json: shared.AsJson = False,
) -> None:
    """Add noise to clean volumes and compare what denoisers make of it: PSNR, SSIM, HFEN, bias and time."""
    numbers = _levels(levels)
    checks.need_folder(output)
    with common.one_line_errors(common.WRONG_USAGE), common.busy("looking for references and methods"):
        from mri_denoise.benchmarks.accuracy.methods import candidates
        from mri_denoise.benchmarks.methods import load_methods
        from mri_denoise.benchmarks.references import find_references

        found = find_references(references, split)
        bundles = [common.find_model(name, trust=trust) for name in model or ["rician"]]
        chosen = load_methods(candidates(bundles, device), shared.words(methods) if methods else None)
    from mri_denoise.benchmarks.accuracy.report import Settings, write_report
    from mri_denoise.benchmarks.accuracy.run import run_accuracy

    with common.one_line_errors():
        progress = shared.Bars(transient=True)
        scores, failures = run_accuracy(found, chosen.found, output / "cache", numbers, seed, middle, progress)
    for failure in failures:
        where = failure.reference if failure.level is None else f"{failure.reference}, {failure.level:g} %"
        common.messages.print(f"failed {where} {failure.method}: {failure.reason}")
    if not scores:
        common.stop("nothing could be scored.", common.SOME_FAILED)
    for label, hint in chosen.absent.items():
        common.messages.print(f"absent {label}: {hint}")
    with common.one_line_errors():
        settings = Settings(seed=seed, middle=middle, split=split)
        record = write_report(found, chosen, scores, failures, output, settings)
    shared.show(record, f"{len(scores)} results, {len(failures)} failed: {output / 'tables.md'}", as_json)
    raise typer.Exit(common.SOME_FAILED if failures else common.DONE)


def _levels(text: str) -> list[float]:
    found = checks.numbers("--levels", text, float)
    if not all(0 < number <= 100 for number in found):
        common.stop(f"--levels {text}: must be percentages above 0 with commas between them.", common.WRONG_USAGE)
    return found
