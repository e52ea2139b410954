"""``mri-denoise evaluate``."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Annotated

import typer

from mri_denoise.cli import common
from mri_denoise.cli.json_output import json_option, print_json


def evaluate(
    reference: Annotated[Path, typer.Argument(metavar="REFERENCE", help="The image without noise.")],
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="The image to score, in the same grid.")],
    mask: Annotated[
        str,
        typer.Option(help="Where to score: auto (the head; all of a picture), none, or the file of a mask (not 0)."),
    ] = "auto",
    peak: Annotated[float | None, typer.Option(help="Peak of PSNR and range of SSIM; the reference's maximum.")] = None,
    as_json: Annotated[bool, json_option()] = False,
) -> None:
    """Score an image against its reference: PSNR and SSIM over the head, HFEN, mean absolute error."""
    if mask not in ("auto", "none") and not Path(mask).is_file():
        common.stop(f"--mask {mask}: must be auto, none, or the file of a mask.", common.WRONG_USAGE)
    if peak is not None and not (0 < peak < math.inf):
        common.stop(f"--peak {peak:g}: must be a number above 0, in the reference's units.", common.WRONG_USAGE)
    cases = []
    for path in (reference, image):
        found, _ = common.find_cases(path)
        if len(found) != 1:
            common.stop(f"{path}: evaluate takes one volume, this holds {len(found)}.", common.WRONG_USAGE)
        cases += found
    from mri_denoise.evaluation.compare import compare_cases

    with common.one_line_errors(), common.busy("comparing"):
        scores = compare_cases(cases[0], cases[1], mask, peak)
    if as_json:
        print_json(dataclasses.asdict(scores))
    else:
        print(
            f"PSNR {scores.psnr:.2f} dB  SSIM {scores.ssim:.4f}  HFEN {scores.hfen:.4f}  "
            f"MAE {scores.mae:.5g}  (peak {scores.peak:g}, {scores.voxels} voxels)"
        )
