"""``mri-denoise demo``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from mri_denoise.cli import common


def demo(
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Folder for inputs, results and pictures.")] = Path(
        "mri-denoise-demo"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Denoise real images that installed libraries carry, and a phantom with known truth."""
    from mri_denoise.demo import run_demo

    with common.one_line_errors(), common.busy("denoising"):
        rows = run_demo(output)
    if as_json:
        common.print_json([dataclasses.asdict(row) for row in rows])
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
