"""``mri-denoise benchmark speed``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mri_denoise.cli import checks, common
from mri_denoise.cli.benchmark import shared

if TYPE_CHECKING:
    from mri_denoise.benchmarks.speed.run import Effort


def speed(
    volume: Annotated[
        Path | None, typer.Argument(metavar="[VOLUME]", help="NIfTI file of one volume; a noisy phantom by default.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of tables, picture and record.")] = Path(
        "speed"
    ),
    model: Annotated[str, typer.Option(help="Ours: a model or the folder of a bundle.")] = "rician",
    device: shared.Device = "auto",
    repetitions: Annotated[int | None, typer.Option(min=1, help="Of each measurement; 5 by default.")] = None,
    largest: Annotated[float | None, typer.Option(min=1e4, help="Voxels of the largest volume: 1e8.")] = None,
    skip: Annotated[
        str, typer.Option(help="Parts (machine, network, start, volume, scaling), methods or backends to leave out.")
    ] = "",
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes, once: does it run? The figures mean little.")] = (
        False
    ),
    trust: common.Trust = False,
    as_json: shared.AsJson = False,
) -> None:
    """Measure speed and memory of ours and of rivals on this machine, and against what the machine can do at best."""
    if volume is not None and not volume.is_file():
        common.stop(f"{volume}: no such file.", common.WRONG_USAGE)
    checks.need_folder(output)
    left_out = shared.words(skip)
    from mri_denoise.benchmarks.speed.report import write_speed
    from mri_denoise.benchmarks.speed.run import QUICK, Effort, Settings, measure_speed, skippable
    from mri_denoise.benchmarks.speed.volume import load_volume
    from mri_denoise.runtime import choose_device

    common.find_model(model, trust=trust)
    with common.one_line_errors(common.WRONG_USAGE):
        device = choose_device(device)
    unknown = [word for word in left_out if word not in skippable(device)]
    if unknown:
        common.stop(f"--skip {unknown[0]}: must be of {', '.join(skippable(device))}.", common.WRONG_USAGE)
    if volume is not None:  # before what takes minutes
        with common.one_line_errors():
            load_volume(volume)
    effort = _adjusted(QUICK if quick else Effort(), repetitions, largest)
    settings = Settings(volume=volume, model=model, device=device, skip=left_out, effort=effort)
    with common.one_line_errors():
        # measurements take minutes and a bar would disturb them
        record = write_speed(measure_speed(settings, shared.Messages()), settings, output)
    tables = (output / "speed.md").read_text(encoding="utf-8")
    shared.show(record, f"{tables}\nwritten to {output}", as_json)


def _adjusted(effort: Effort, repetitions: int | None, largest: float | None) -> Effort:
    """The effort with another number of repetitions, or another largest volume."""
    if repetitions is not None:
        effort = dataclasses.replace(effort, repetitions=repetitions)
    if largest is not None:
        voxels = sorted({*(n for n in effort.voxels if n < largest), largest})
        effort = dataclasses.replace(effort, voxels=tuple(voxels))
    return effort
