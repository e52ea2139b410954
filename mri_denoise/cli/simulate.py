"""``mri-denoise simulate``."""

from __future__ import annotations

import dataclasses
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from mri_denoise.cli import common
from mri_denoise.io.own_results import RECORD_ENDING


class Noise(str, Enum):
    """Kinds of simulated noise."""

    rician = "rician"
    salt_pepper = "salt-pepper"
    nc_chi = "nc-chi"
    scanner = "scanner"


class Method(str, Enum):
    """Kinds of parallel imaging."""

    sense = "sense"
    grappa = "grappa"


class Combination(str, Enum):
    """Ways to combine the channels of coils."""

    rss = "rss"
    adaptive = "adaptive"
    sense = "sense"


def simulate(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="A file or a DICOM folder with one volume.")],
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="The noisy copy: a file, or a folder for DICOM.")],
    noise: Annotated[Noise, typer.Option(help="Kind of noise.")] = Noise.rician,
    level: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=100.0,
            help="Sigma in percent of the maximum; density for salt-pepper. Default: 5; drawn for scanner.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the noise, and of the scanner.")] = 0,
    coils: Annotated[
        int | None,
        typer.Option(min=1, help="Channels for nc-chi (default: 4), coils of the scanner.", show_default=False),
    ] = None,
    acceleration: Annotated[int | None, typer.Option(min=1, max=4, help="Parallel imaging of the scanner.")] = None,
    method: Annotated[Method | None, typer.Option(help="Method of parallel imaging.")] = None,
    combination: Annotated[Combination | None, typer.Option(help="How the scanner combines coils.")] = None,
    coverage: Annotated[
        float, typer.Option(min=0.1, max=1.0, help="Fraction of k-space acquired, for rician and nc-chi.")
    ] = 1.0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a result that exists.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Add noise of an exact level to an image.

    With --noise scanner, the image goes through a simulated scanner: coils, k-space, reconstruction and
    post-processing, drawn by the seed where no option gives them. The noise-free image as that scanner shows it and its
    map of sigma are written beside the copy, as _truth and _sigma.

    NIfTI files become float32, so that nothing is rounded or cut off; DICOM and pictures keep their type.
    """
    from mri_denoise.simulation.noisy_copies import NoiseParameters, simulate_case

    if noise is not Noise.scanner and any(o is not None for o in (acceleration, method, combination)):
        common.stop("--acceleration, --method and --combination go with --noise scanner.", common.WRONG_USAGE)
    if coils is not None and noise not in (Noise.nc_chi, Noise.scanner):
        common.stop("--coils goes with --noise nc-chi or scanner.", common.WRONG_USAGE)
    if coverage != 1.0 and noise not in (Noise.rician, Noise.nc_chi):
        common.stop("--coverage goes with --noise rician or nc-chi.", common.WRONG_USAGE)
    cases, _ = common.find_cases(source)
    if len(cases) != 1:
        common.stop(f"{source}: simulate takes one volume, this holds {len(cases)}.", common.WRONG_USAGE)
    if cases[0].picture:  # discovery names the denoised picture
        cases = [dataclasses.replace(cases[0], output=cases[0].output.with_name(cases[0].sources[0].name))]
    volume = not (cases[0].picture or cases[0].writes_folder)  # which becomes NIfTI
    if volume and not _is_nifti(cases[0].output):
        cases = [dataclasses.replace(cases[0], output=cases[0].companion(Path(), "", ".nii.gz"))]
    cases, folder = common.place(cases, source, output, keeps_format=cases[0].picture)
    if volume and not _is_nifti(cases[0].output):
        common.stop(f"{output}: the copy is written as NIfTI; name it .nii or .nii.gz.", common.WRONG_USAGE)
    # one file, also of an image that is a header and an image
    made = [folder / cases[0].output] if volume else list(cases[0].outputs(folder))
    made += [cases[0].companion(folder, name) for name in ("_truth", "_sigma") if noise is Noise.scanner]
    made.append(cases[0].companion(folder, "", RECORD_ENDING))
    there = next((path for path in made if path.exists()), None)
    if there is not None and not overwrite:
        common.stop(f"{there}: exists; use --overwrite to replace it.", common.SOME_FAILED)
    with common.one_line_errors(), common.busy("adding noise"):
        if noise is Noise.scanner:
            from mri_denoise.simulation.scanner_choice import FixedParameters
            from mri_denoise.simulation.scanner_copies import scan_case

            fixed = FixedParameters(
                level=None if level is None else level / 100,
                coils=coils,
                acceleration=acceleration,
                method=None if method is None else method.value,
                combination=None if combination is None else combination.value,
            )
            record = scan_case(cases[0], folder, fixed, seed)
        else:
            parameters = NoiseParameters(
                noise=noise.value,
                level=5.0 if level is None else level,
                seed=seed,
                coils=(4 if coils is None else coils) if noise is Noise.nc_chi else 1,
                coverage=coverage,
            )
            record = simulate_case(cases[0], folder, parameters)
    if as_json:
        common.print_json(record.as_dict())
    else:
        what = f"sigma {record.sigma:g}" if record.density is None else f"density {record.density:g}"
        common.say(f"{cases[0].label} -> {folder / cases[0].output}: {noise.value}, {what}, seed {seed}")


def _is_nifti(path: Path) -> bool:
    return path.name.lower().endswith((".nii", ".nii.gz"))
