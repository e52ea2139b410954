"""``mri-denoise adapt``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mri_denoise.cli import checks, common
from mri_denoise.cli.json_output import json_option, print_json
from mri_denoise.errors import InputError
from mri_denoise.settings import DEFAULTS, Sigma

if TYPE_CHECKING:
    from mri_denoise.training.adapt import AdaptationRecord


def adapt(
    sources: Annotated[list[Path], typer.Argument(metavar="INPUT...", help="Noisy files, DICOM folders, folders.")],
    output: Annotated[Path, typer.Option("--output", metavar="BUNDLE", help="Folder of the new bundle.")],
    model: Annotated[str, typer.Option(help="Model to start from: a name, or the folder of a bundle.")] = "rician",
    sigma: Annotated[str, typer.Option(help="Noise level: auto, map, or a number in the files' units.")] = str(
        DEFAULTS.sigma
    ),
    steps: Annotated[int | None, typer.Option(min=1, help="Steps at most, instead of the bundle's.")] = None,
    learning_rate: Annotated[float | None, typer.Option(min=0.0, help="Instead of the bundle's.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = DEFAULTS.device,
    trust: common.Trust = False,
    as_json: Annotated[bool, json_option("Print the record as JSON.")] = False,
) -> None:
    """Fine-tune a model on your own noisy volumes, without references; the result is a bundle for denoise --model."""
    level = _level(sigma)
    cases, skips = common.find_all(sources)
    if not cases:
        common.stop("no volume to learn from; name NIfTI files, DICOM folders or folders of these.", common.SOME_FAILED)
    bundle = common.find_model(model, trust=trust)
    if not bundle.config("adapt.yaml").is_file():
        common.stop(f"model {model}: cannot be adapted without references; use --model rician.", common.WRONG_USAGE)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        common.stop(f"{output}: exists; the new bundle needs a folder of its own.", common.WRONG_USAGE)
    checks.check_device(device)
    from mri_denoise.training.adapt import AdaptSettings, adapt_bundle

    settings = AdaptSettings(sigma=level, steps=steps, learning_rate=learning_rate, seed=seed, device=device)
    with common.one_line_errors(), common.busy("learning from the noise"):
        record = adapt_bundle(bundle, cases, output, settings)
    if as_json:
        print_json(record.as_dict())
    else:
        _say(record, output)
    raise typer.Exit(common.exit_code(len(cases), 0, skips))


def _say(record: AdaptationRecord, output: Path) -> None:
    first, best = record.held_out_loss[0], min(record.held_out_loss, key=lambda point: point.loss)
    if record.improved:
        print(f"{output}: held-out loss {first.loss:.4f} -> {best.loss:.4f} after {best.step} steps")
        print(f"use it with: mri-denoise denoise INPUT OUTPUT --model {output}")
    else:
        print(f"{output}: no gain on held-out slices (loss {first.loss:.4f}); the weights are the original ones")


def _level(sigma: str) -> Sigma:
    """A number above 0, ``auto`` or ``map``; ends with code 2 for anything else."""
    try:
        level = Sigma.parse(sigma)
    except InputError:
        level = None
    if level is None or level.path is not None or level.level == 0:
        common.stop(f"--sigma {sigma}: must be auto, map, or a number above 0.", common.WRONG_USAGE)
    return level
