"""``mri-denoise benchmark repeats``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mri_denoise.cli import checks, common
from mri_denoise.cli.benchmark import shared
from mri_denoise.cli.choices import QUALITY_HELP, Quality


def repeats(
    sources: Annotated[
        list[Path], typer.Argument(metavar="SERIES...", help="A 4D series, or several scans of one object.")
    ],
    output: Annotated[Path, typer.Option(help="Folder of the table, the picture and the record.")],
    model: Annotated[str, typer.Option(help="A model that takes a noise level, or the folder of a bundle.")] = "rician",
    sigma: Annotated[
        float | None, typer.Option(min=0.0, help="Noise level in the file's units; estimated by default.")
    ] = None,
    volumes: Annotated[
        str | None, typer.Option(help="Which volumes are repeats, from 0, as 1-12; all by default.")
    ] = None,
    quality: Annotated[Quality, typer.Option(help=QUALITY_HELP)] = Quality.balanced,
    device: shared.Device = "auto",
    trust: common.Trust = False,
    as_json: shared.AsJson = False,
) -> None:
    """Real noise: judge each scan of a repeated series against the mean of the others, and look at what was removed.

    A single volume has no PSNR, but its residual is measured and drawn all the same.
    """
    checks.need_folder(output)
    span = _span(volumes)
    cases, skips = common.find_all(sources)
    if not cases:
        common.stop("there is no volume to denoise.", common.SOME_FAILED)
    with common.one_line_errors(common.WRONG_USAGE), common.busy("loading the network"):
        from mri_denoise.denoiser import Denoiser

        network = Denoiser(common.find_model(model, trust=trust), device=device)
    if "quality" not in network.bundle.options and quality is not Quality.balanced:
        common.stop(f"model {model} knows one quality: no --quality.", common.WRONG_USAGE)
    from mri_denoise.benchmarks.repeats.run import run_repeats

    with common.one_line_errors():
        record = run_repeats(cases, network, output, quality.value, sigma, span, shared.Bars(transient=True))
    shared.show(record, (output / "repeats.md").read_text(encoding="utf-8").removesuffix("\n"), as_json)
    raise typer.Exit(common.exit_code(len(cases), 0, skips))


def _span(volumes: str | None) -> tuple[int, int] | None:
    """Numbers of the first and of the last volume."""
    if volumes is None:
        return None
    first, _, last = volumes.partition("-")
    if not (first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
        common.stop(f"--volumes {volumes}: must be two numbers from 0 on, as 1-12.", common.WRONG_USAGE)
    return int(first), int(last)
