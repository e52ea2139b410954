"""``mri-denoise demo``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from mri_denoise.cli import checks, common
from mri_denoise.cli.json_output import json_option, print_json


def demo(
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Folder for inputs, results and pictures.")] = Path(
        "mri-denoise-demo"
    ),
    as_json: Annotated[bool, json_option()] = False,
) -> None:
    """Denoise real images that installed libraries carry, and a phantom with known truth."""
    from mri_denoise.demo import holds_others, run_demo

    checks.need_folder(output)
    if holds_others(output):
        common.stop(f"{output}: holds other files; the demo needs a folder of its own.", common.WRONG_USAGE)
    with common.one_line_errors(), common.busy("denoising"):
        rows = run_demo(output)
    if as_json:
        print_json([dataclasses.asdict(row) for row in rows])
        return
    for row in rows:
        scores = ""
        if row.before is not None and row.after is not None:
            scores = (
                f"  PSNR {row.before.psnr:.2f} -> {row.after.psnr:.2f} dB"
                f"  SSIM {row.before.ssim:.3f} -> {row.after.ssim:.3f}"
            )
        print(f"{row.name:44} {row.seconds:5.1f} s{scores}")
    print(f"Results and pictures are in {output}.")
