"""``mri-denoise data``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from mri_denoise.cli import checks, common
from mri_denoise.cli.json_output import json_option, print_json

app = typer.Typer(help="Data for training: check and lay out local copies of public data sets.", no_args_is_help=True)


@app.callback()
def main() -> None:
    """Check and lay out local copies of public data sets."""


@app.command()
def prepare(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where your copies of the data sets are.")],
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="The data set folder for training.")],
    copy: Annotated[bool, typer.Option("--copy", help="Copy files instead of linking them.")] = False,
    as_json: Annotated[bool, json_option()] = False,
) -> None:
    """Find the files of the manifests by their SHA-256 and lay them out with a datalist for training."""
    from mri_denoise.training.manifests import prepare as run

    checks.must_be_folder(folder)
    checks.need_folder(output)
    with common.one_line_errors(), common.busy("checking hashes"):
        report = run(folder, output, copy=copy)
    for mismatch in report.mismatched:
        common.messages.print(f"differs {mismatch.found}: not the file that {mismatch.local} should be (SHA-256).")
    if as_json:
        print_json(
            {
                "placed": [str(p) for p in report.placed],
                "missing": [str(p) for p in report.missing],
                "mismatched": [{"wanted": str(m.local), "found": str(m.found)} for m in report.mismatched],
                "datalist": str(report.datalist),
            }
        )
    else:
        print(f"{len(report.placed)} files placed, {len(report.missing)} missing, {len(report.mismatched)} differ.")
        for path in report.missing:
            common.messages.print(f"missing {path}")
    raise typer.Exit(common.DONE if report.placed and not report.mismatched else common.SOME_FAILED)


@app.command()
def references(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="The data set folder, as prepare makes it.")],
    model: Annotated[str, typer.Option(help="rician, or the folder of a MONAI bundle.")] = "rician",
    factor: Annotated[float, typer.Option(min=0.0, help="Noise level given: the estimated one times this.")] = 1.5,
    trust: common.Trust = False,
) -> None:
    """Denoise the training volumes and add the results to the datalist, as cleaner references for the next training."""
    from mri_denoise.training.references import add_references

    checks.must_be_folder(dataset)
    bundle = common.find_model(model, trust=trust)

    def say(image: str, sigma: float) -> None:
        common.messages.print(f"{image}  sigma {sigma:.4g}")

    with common.one_line_errors():
        count = add_references(dataset, bundle, factor, on_volume=say)
    print(f"{count} references.")


@app.command()
def scans(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="The data set folder with its references.")],
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="The folder of the scans.")],
    count: Annotated[int, typer.Option(min=1, help="Number of scans.")] = 4000,
    seed: Annotated[int, typer.Option(min=0, help="Of anatomy, scanners and noise.")] = 0,
) -> None:
    """Put the training volumes through simulated scanners, for the training of the noise-level network."""
    from mri_denoise.training.noise_scans import make_scans

    checks.must_be_folder(dataset)
    checks.need_folder(output)
    with common.one_line_errors():
        _make(make_scans(dataset, output, count, seed), "scanning", count)
    print(f"{count} scans.")


@app.command()
def filtered(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="The data set folder with its references.")],
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="The folder of the crops.")],
    model: Annotated[str, typer.Option(help="rician, or the folder of a MONAI bundle.")] = "rician",
    count: Annotated[int, typer.Option(min=1, help="Number of crops.")] = 3000,
    seed: Annotated[int, typer.Option(min=0, help="Of anatomy, scanners and noise.")] = 0,
    split: Annotated[str, typer.Option(help="The list of the datalist: training or validation.")] = "training",
    trust: common.Trust = False,
) -> None:
    """Denoise noisy parts of training volumes up to the filter, for the training of the network that refines it."""
    from mri_denoise.training.filtered import make_filtered

    checks.must_be_folder(dataset)
    checks.need_folder(output)
    bundle = common.find_model(model, trust=trust)
    with common.one_line_errors():
        _make(make_filtered(dataset, output, bundle, count, seed, split), "filtering", count)
    print(f"{count} crops.")


def _make(files: Iterable[Path], doing: str, count: int) -> None:
    """Make files, and count them on a bar if somebody watches."""
    from rich.progress import track

    for _ in track(files, doing, count, console=common.messages, transient=True, disable=not common.interactive()):
        pass
