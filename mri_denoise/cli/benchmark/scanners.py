"""``mri-denoise benchmark scanners``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mri_denoise.cli import checks, common
from mri_denoise.cli.benchmark import shared


def scanners(
    output: Annotated[Path, typer.Option(help="Folder of the table and the record.")],
    dataset: Annotated[
        Path | None, typer.Option(help="A data set folder, as data prepare makes it; phantoms by default.")
    ] = None,
    part: Annotated[str, typer.Option(help="List of the data set's volumes.")] = "validation",
    count: Annotated[int, typer.Option(min=1, help="Number of scans.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Of anatomy, scanners and noise.")] = 0,
    denoise: Annotated[
        bool, typer.Option("--denoise", help="Also denoise each scan: how many get worse, or lose dark tissue?")
    ] = False,
    model: Annotated[
        str | None, typer.Option(help="What --denoise runs: a model or the folder of a bundle; rician by default.")
    ] = None,
    device: shared.Device = "auto",
    trust: common.Trust = False,
    as_json: shared.AsJson = False,
) -> None:
    """The estimate of the noise against random simulated scanners, whose local level is known."""
    checks.need_folder(output)
    if dataset is not None:
        checks.must_be_folder(dataset)
    for option, given in (("--model", model is not None), ("--device", device != "auto"), ("--trust", trust)):
        if given and not denoise:
            common.stop(f"{option} goes with --denoise.", common.WRONG_USAGE)
    bundle = common.find_model(model or "rician", trust=trust) if denoise else None
    from mri_denoise.benchmarks.noise.run import run_scanners

    denoiser = None
    if bundle is not None:
        from mri_denoise.denoiser import Denoiser

        with common.one_line_errors(common.WRONG_USAGE), common.busy("loading the network"):
            denoiser = Denoiser(bundle, device=device)
    with common.one_line_errors():
        record = run_scanners(dataset, output, count, seed, shared.Bars(transient=True), part, denoiser)
    shared.show(record, (output / "scanners.md").read_text(encoding="utf-8").removesuffix("\n"), as_json)
