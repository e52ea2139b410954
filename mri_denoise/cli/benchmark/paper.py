"""``mri-denoise benchmark paper``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mri_denoise.cli import checks, common
from mri_denoise.cli.benchmark import shared


def paper(
    dataset: Annotated[
        Path | None, typer.Argument(metavar="[DATASET]", help="Folder with datalist.json (mri-denoise data).")
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of tables, figures and what is kept to go on after a stop.")
    ] = Path("paper"),
    images: Annotated[Path | None, typer.Option(help="Folder of 2D pictures (PNG, JPEG), too or instead.")] = None,
    densities: Annotated[str, typer.Option(help="Densities of the noise in percent.")] = "10,20,30",
    slices: Annotated[int, typer.Option(min=2, help="Slices of test and validation volumes (Table 3).")] = 999,
    compared: Annotated[int, typer.Option(min=2, help="Slices of test volumes (Tables 2 and 4).")] = 70,
    pictures: Annotated[int | None, typer.Option(min=1, help="Take so many of the pictures, chosen at random.")] = None,
    steps: Annotated[int, typer.Option(min=0, help="Steps of each training (Table 4); 0 trains nothing.")] = 2000,
    seeds: Annotated[str, typer.Option(help="Seeds of the trainings.")] = "0,1,2",
    skip: Annotated[str, typer.Option(help="Rivals to leave out: bm3d, adaptive_median, dncnn.")] = "",
    model: Annotated[str, typer.Option(help="Bundle of HMAD-Net: a name or a folder.")] = "salt-pepper",
    device: shared.Device = "auto",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override train.yaml in all trainings.")
    ] = None,
    trust: common.Trust = False,
    as_json: shared.AsJson = False,
) -> None:
    """Repeat the paper's experiment: Tables 2, 3 and 4, Figures 7, 8, 11 and 12, the paper's figures beside them."""
    percent = checks.numbers("--densities", densities, float)
    if any(not 0 < density < 100 for density in percent):
        common.stop(f"--densities {densities}: must lie between 0 and 100 percent.", common.WRONG_USAGE)
    chosen = [int(number) for number in checks.numbers("--seeds", seeds, int)]
    overrides = checks.parse_settings(settings)
    checks.need_folder(output)
    left_out = shared.words(skip)
    from mri_denoise.benchmarks.paper.methods import RIVALS

    if not set(left_out) <= set(RIVALS):
        common.stop(f"--skip {skip}: must be of {', '.join(RIVALS)}.", common.WRONG_USAGE)
    bundle = common.find_model(model, trust=trust)
    if overrides:
        from mri_denoise.training.begin import check_overrides

        with common.one_line_errors(common.WRONG_USAGE):
            check_overrides(bundle, ["train.yaml"], overrides)
    if dataset is not None:
        checks.must_be_folder(dataset)
    if images is not None and not images.exists():
        common.stop(f"{images}: no such folder of pictures.", common.WRONG_USAGE)
    if dataset is None and images is None:
        hint = "give a prepared data set, a folder of pictures (--images), or both"
        common.stop(f"benchmark paper: {hint}.", common.WRONG_USAGE)
    checks.check_device(device)
    from mri_denoise.benchmarks.paper.experiment import Experiment
    from mri_denoise.benchmarks.paper.run import run_experiment

    experiment = Experiment(
        bundle=bundle,
        dataset=dataset,
        output=output,
        images=images,
        densities=percent,
        slices=slices,
        compared=compared,
        pictures=pictures,
        steps=steps,
        seeds=chosen,
        skip=left_out,
        device=device,
        overrides=overrides,
    )
    with common.one_line_errors():
        record = run_experiment(experiment, shared.Bars())
    report = (output / "report.md").read_text(encoding="utf-8")
    shared.show(record, f"{report}\nwritten to {output}", as_json)
