"""``mri-denoise simulate``."""

from __future__ import annotations

import dataclasses
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from mri_denoise.cli import common
from mri_denoise.cli.json_output import json_option, print_json
from mri_denoise.io.case import Case
from mri_denoise.io.files import NIFTI_ENDINGS
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
        typer.Option(
            min=1, max=1024, help="Channels for nc-chi (default: 4), coils of the scanner.", show_default=False
        ),
    ] = None,
    acceleration: Annotated[int | None, typer.Option(min=1, max=4, help="Parallel imaging of the scanner.")] = None,
    method: Annotated[Method | None, typer.Option(help="Method of parallel imaging.")] = None,
    combination: Annotated[Combination | None, typer.Option(help="How the scanner combines coils.")] = None,
    coverage: Annotated[
        float, typer.Option(min=0.1, max=1.0, help="Fraction of k-space acquired, for rician and nc-chi.")
    ] = 1.0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a result that exists.")] = False,
    as_json: Annotated[bool, json_option()] = False,
) -> None:
    """Add noise of an exact level to an image.

    With --noise scanner, the image goes through a simulated scanner: coils, k-space, reconstruction and
    post-processing, drawn by the seed where no option gives them. The noise-free image as that scanner shows it and its
    map of sigma are written beside the copy, as _truth and _sigma.

    NIfTI files become float32, so that nothing is rounded or cut off; DICOM and pictures keep their type.
    """
    from mri_denoise.simulation.noisy_copies import NoiseParameters, simulate_case

    for option, value, kinds in (
        ("--acceleration", acceleration, [Noise.scanner]),
        ("--method", method, [Noise.scanner]),
        ("--combination", combination, [Noise.scanner]),
        ("--coils", coils, [Noise.nc_chi, Noise.scanner]),
        ("--coverage", None if coverage == 1.0 else coverage, [Noise.rician, Noise.nc_chi]),
    ):
        if value is not None and noise not in kinds:
            names = " or ".join(kind.value for kind in kinds)
            common.stop(f"{option} goes with --noise {names}.", common.WRONG_USAGE)
    case, folder = _place(source, output)
    there = next((path for path in _made(case, folder, noise) if path.exists()), None)
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
            record = scan_case(case, folder, fixed, seed)
        else:
            parameters = NoiseParameters(
                noise=noise.value,
                level=5.0 if level is None else level,
                seed=seed,
                coils=(4 if coils is None else coils) if noise is Noise.nc_chi else 1,
                coverage=coverage,
            )
            record = simulate_case(case, folder, parameters)
    if as_json:
        print_json(record.as_dict())
    else:
        what = f"sigma {record.sigma:g}" if record.density is None else f"density {record.density:g}"
        common.say(f"{case.label} -> {folder / case.output}: {noise.value}, {what}, seed {seed}")


def _place(source: Path, output: Path) -> tuple[Case, Path]:
    """The one image of the source, and the folder that its copy goes to."""
    cases, _ = common.find_cases(source)
    if len(cases) != 1:
        common.stop(f"{source}: simulate takes one volume, this holds {len(cases)}.", common.WRONG_USAGE)
    [case] = cases
    if case.picture:  # discovery names the denoised picture
        case = dataclasses.replace(case, output=case.output.with_name(case.sources[0].name))
    elif _becomes_nifti(case) and not _is_nifti(case.output):
        case = dataclasses.replace(case, output=case.companion(Path(), "", ".nii.gz"))
    [case], folder = common.place([case], source, output, keeps_format=case.picture)
    if _becomes_nifti(case) and not _is_nifti(case.output):
        common.stop(f"{output}: the copy is written as NIfTI; name it .nii or .nii.gz.", common.WRONG_USAGE)
    return case, folder


def _made(case: Case, folder: Path, noise: Noise) -> list[Path]:
    """All files that are written: of a header and an image, too, the copy is one."""
    copies = [folder / case.output] if _becomes_nifti(case) else list(case.outputs(folder))
    beside = [case.companion(folder, name) for name in ("_truth", "_sigma") if noise is Noise.scanner]
    return [*copies, *beside, case.companion(folder, "", RECORD_ENDING)]


def _becomes_nifti(case: Case) -> bool:
    return not (case.picture or case.writes_folder)


def _is_nifti(path: Path) -> bool:
    return path.name.lower().endswith(NIFTI_ENDINGS)
