"""``mri-denoise train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mri_denoise.cli import common


def train(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="Folder with datalist.json (mri-denoise data).")],
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Folder of the new bundle and its logs.")],
    model: Annotated[str, typer.Option(help="Bundle whose training is run: a name or a folder.")] = "rician",
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs, instead of the bundle's.")] = None,
    trust: common.Trust = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last state in OUTPUT.")] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override any value of train.yaml.")
    ] = None,
) -> None:
    """Train a bundle on your own data; the result is a bundle that denoise --model takes."""
    if not (dataset / "datalist.json").is_file():
        common.stop(f"{dataset}: has no datalist.json; make one with mri-denoise data prepare.", common.WRONG_USAGE)
    overrides = common.parse_settings(settings)
    if epochs is not None:
        overrides["max_epochs"] = epochs
    bundle = common.find_model(model, trust=trust)
    from mri_denoise.training.train import train_bundle

    with common.one_line_errors():
        weights = train_bundle(bundle, dataset, output, resume, overrides)
    print(f"{weights}\nuse it with: mri-denoise denoise INPUT OUTPUT --model {output}")
