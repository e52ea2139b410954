"""``mri-denoise benchmark scans``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mri_denoise.cli import checks, common
from mri_denoise.cli.benchmark import shared


def scans(
    sources: Annotated[list[Path], typer.Argument(metavar="SCANS...", help="Images, DICOM series or folders.")],
    output: Annotated[Path, typer.Option(help="Folder of the table, the picture and the record.")],
    model: Annotated[str, typer.Option(help="A model that takes a noise level, or the folder of a bundle.")] = "rician",
    slices: Annotated[int, typer.Option(min=0, help="How many in the middle are denoised; 0 takes all.")] = 16,
    device: shared.Device = "auto",
    trust: common.Trust = False,
    as_json: shared.AsJson = False,
) -> None:
    """Scans as they come: compare what is removed with what is removed from simulated noise of the level found.

    Values in brackets are what is expected: from simulated noise, and for rim and air from the floor that was found.
    """
    checks.need_folder(output)
    cases, skips = common.find_all(sources)
    if not cases:
        common.stop("there is no volume to denoise.", common.SOME_FAILED)
    with common.one_line_errors(common.WRONG_USAGE), common.busy("loading the network"):
        from mri_denoise.denoiser import Denoiser

        denoiser = Denoiser(common.find_model(model, trust=trust), device=device)
    if not denoiser.uses_sigma:
        common.stop(f"model {model}: takes no noise level.", common.WRONG_USAGE)
    from mri_denoise.benchmarks.scans.run import run_scans

    with common.one_line_errors():
        record = run_scans(cases, denoiser, output, slices, shared.Bars(transient=True))
    shared.show(record, (output / "scans.md").read_text(encoding="utf-8").removesuffix("\n"), as_json)
    raise typer.Exit(common.exit_code(len(cases), 0, skips))
