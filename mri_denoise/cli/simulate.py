"""``mri-denoise simulate``."""

from __future__ import annotations

import dataclasses
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from mri_denoise.cli import common


class Noise(str, Enum):
    """Kinds of simulated noise."""

    rician = "rician"
    salt_pepper = "salt-pepper"
    nc_chi = "nc-chi"


def simulate(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="A file or a DICOM folder with one volume.")],
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="The noisy copy: a file, or a folder for DICOM.")],
    noise: Annotated[Noise, typer.Option(help="Kind of noise.")] = Noise.rician,
    level: Annotated[
        float, typer.Option(min=0.0, max=100.0, help="Sigma in percent of the maximum; density for salt-pepper.")
    ] = 5.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the noise.")] = 0,
    coils: Annotated[int, typer.Option(min=1, help="Receiver channels for nc-chi.")] = 4,
    coverage: Annotated[
        float, typer.Option(min=0.1, max=1.0, help="Fraction of k-space acquired, not for salt-pepper.")
    ] = 1.0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a result that exists.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Add noise of an exact level to an image.

    NIfTI files become float32, so that nothing is rounded or cut off; DICOM and pictures keep their type.
    """
    from mri_denoise.simulation.noisy_copies import NoiseParameters, simulate_case

    cases, _ = common.find_cases(source)
    if len(cases) != 1:
        common.stop(f"{source}: simulate takes one volume, this holds {len(cases)}.", common.WRONG_USAGE)
    if cases[0].picture:  # discovery names the denoised picture
        cases = [dataclasses.replace(cases[0], output=cases[0].output.with_name(cases[0].sources[0].name))]
    cases, folder = common.place(cases, source, output)
    if not overwrite and common.already_there(cases[0], folder):
        common.stop(f"{folder / cases[0].output}: exists; use --overwrite to replace it.", common.SOME_FAILED)
    coils = coils if noise is Noise.nc_chi else 1
    parameters = NoiseParameters(noise=noise.value, level=level, seed=seed, coils=coils, coverage=coverage)
    with common.one_line_errors(), common.busy("adding noise"):
        record = simulate_case(cases[0], folder, parameters)
    if as_json:
        common.print_json(record.as_dict())
    else:
        what = f"sigma {record.sigma:g}" if record.density is None else f"density {record.density:g}"
        print(f"{cases[0].label} -> {folder / cases[0].output}: {noise.value}, {what}, seed {seed}")
