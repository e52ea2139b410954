"""``mri-denoise noise``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from mri_denoise.cli import common
from mri_denoise.cli.json_output import json_option, print_json
from mri_denoise.errors import InputError
from mri_denoise.io.case import Case


def noise(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="A file, a DICOM folder, or a folder of files.")],
    as_json: Annotated[bool, json_option()] = False,
) -> None:
    """Find the noise: its level (sigma) in the file's own units, variation, floor, and how neighbours share it."""
    cases, skips = common.find_cases(source)
    results: list[dict[str, Any]] = []
    failed: list[tuple[str, str]] = []
    for case in cases:
        try:
            with common.busy(f"measuring {case.label}"):
                results += _measure(case)
        except InputError as error:
            failed.append((case.label, str(error)))
            common.messages.print(f"failed {error}")
    if as_json:
        print_json(
            {
                "volumes": results,
                "skipped": common.as_records(skips),
                "failed": [{"case": label, "error": error} for label, error in failed],
            }
        )
    else:
        for found in results:
            common.say(_line(found))
    raise typer.Exit(common.exit_code(len(results), len(failed), skips))


def _line(found: dict[str, Any]) -> str:
    """What was found in one volume, in words."""
    from mri_denoise.noise.cautions import UNSURE

    volume = "" if found["volume"] is None else f" volume {found['volume']}"
    notes = [f"sigma {found['sigma']:.6g}", f"SNR {found['snr']:.4g} (from {found['source']})"]
    if found["sigma"] == 0:
        notes.append("no noise found, or too few voxels to tell it from texture; give --sigma to denoise")
    if found["signed"]:
        notes.append("no magnitude image: no bias is removed")
    elif found["zero"]:
        way = "down " if found["sign"] < 0 else ""
        notes.append(f"counted {way}from {found['zero']:.6g}, where air begins")
    if found["variation"] > 1:
        notes.append(f"varies x{found['variation']:.1f} over the image")
    floor, ratio = found["floor"], found["floor_ratio"]
    if floor == "suppressed":
        notes.append(f"air darker than its noise explains (x{ratio:.2f})")
    elif floor == "chi":
        notes.append(f"air of {found['coils']:.1f} channels")
    elif floor not in ("rician", "none"):
        notes.append(f"air {floor}")
    if any(found["correlation"]):
        alike = " / ".join(f"{value:.2f}" for value in found["correlation"])
        notes.append(f"correlated with the next voxel by {alike} along the axes")
    if found["confidence"]["level"] < UNSURE:
        notes.append(f"level uncertain (confidence {found['confidence']['level']:.2f})")
    return f"{found['case']}{volume}: {', '.join(notes)}"


def _measure(case: Case) -> list[dict[str, Any]]:
    """One result a volume of the case."""
    import numpy as np

    from mri_denoise.io import read
    from mri_denoise.noise.series import find_series_noise
    from mri_denoise.volume import slice_axis_of

    volume = read(case)
    several = volume.array.shape[0] > 1
    return [
        {
            "case": case.label,
            "volume": t if several else None,
            "sigma": model.level,
            "snr": model.snr,
            "source": model.source,
            "variation": model.variation,
            "zero": model.zero.value,
            "sign": model.zero.sign,
            "signed": model.zero.signed,
            "floor": model.floor,
            "floor_ratio": float(np.median(model.floor_ratio)),
            "coils": model.coils,
            "correlation": model.correlation[:, 1].round(3).tolist(),  # with the next along each axis
            "confidence": asdict(model.confidence),
        }
        for t, model in enumerate(find_series_noise(volume.array, slice_axis=slice_axis_of(volume)))
    ]
