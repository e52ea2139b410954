"""``mri-denoise noise``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from mri_denoise.cli import common
from mri_denoise.errors import InputError
from mri_denoise.io.case import Case


def noise(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="A file, a DICOM folder, or a folder of files.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Estimate the noise level (Rician sigma) in the file's own intensity units, and how neighbours share noise."""
    cases, skips = common.find_cases(source)
    results: list[dict[str, Any]] = []
    failed = 0
    for case in cases:
        try:
            with common.busy(f"measuring {case.label}"):
                results += _measure(case)
        except InputError as error:
            failed += 1
            common.messages.print(f"failed {error}")
    from mri_denoise.noise.level import UNEVEN

    if as_json:
        common.print_json(results[0] if len(results) == 1 else results)
    else:
        for found in results:
            volume = "" if found["volume"] is None else f" volume {found['volume']}"
            notes = [f"sigma {found['sigma']:.6g}", f"SNR {found['snr']:.4g} ({found['method']})"]
            if found["variation"] > UNEVEN:
                notes.append(f"varies x{found['variation']:.1f} over the image")
            if any(found["correlation"]):
                alike = " / ".join(f"{value:.2f}" for value in found["correlation"])
                notes.append(f"correlated with the next voxel by {alike} along the axes")
            print(f"{found['case']}{volume}: {', '.join(notes)}")
    raise typer.Exit(common.exit_code(len(results), failed, skips))


def _measure(case: Case) -> list[dict[str, Any]]:
    """One result a volume of the case."""
    from mri_denoise.io import read
    from mri_denoise.noise.correlation import noise_correlation
    from mri_denoise.noise.level import estimate_series
    from mri_denoise.volume import slice_axis_of

    volume = read(case)
    axis = slice_axis_of(volume)
    common_to_all = {
        "correlation": noise_correlation(volume.array, axis)[:, 1].round(3).tolist(),  # with the next along each axis
        "case": case.label,
    }
    several = volume.array.shape[0] > 1
    return [
        {**asdict(level), **common_to_all, "volume": t if several else None}
        for t, level in enumerate(estimate_series(volume.array, slice_axis=axis))
    ]
