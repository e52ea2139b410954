"""``mri-denoise dicom``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mri_denoise.cli import common
from mri_denoise.cli.json_output import json_option, print_json
from mri_denoise.io.case import Case, Skip


def dicom(
    source: Annotated[Path, typer.Argument(metavar="PATH", help="A DICOM file, a folder, or a zip file of a study.")],
    force: Annotated[bool, typer.Option("--force", help="As denoise --force would see it.")] = False,
    as_json: Annotated[bool, json_option()] = False,
) -> None:
    """List the volumes of a DICOM study: what each is, whether it would be denoised, and why not."""
    from mri_denoise.io import discover

    if not source.exists():
        common.stop(f"{source}: no such file or folder.", common.WRONG_USAGE)
    with common.one_line_errors(), common.busy("looking for images"):
        cases, skips = discover(source, force=force, own_results=force)
    volumes = [_volume(case) for case in cases if case.series]
    left = _left_alone(skips)
    if as_json:
        print_json({"volumes": volumes, "left_alone": left})
    else:
        for volume in volumes:
            common.say(_line(volume))
        for entry in left:
            common.say(f"{entry['folder']}: {_count(len(entry['files']), 'file')}, not denoised: {entry['reason']}")
    if not volumes and not left:
        common.stop(f"{source}: holds no DICOM; `mri-denoise denoise` takes other images.", common.SOME_FAILED)
    raise typer.Exit(common.exit_code(len(volumes), 0, skips))


def _volume(case: Case) -> dict[str, Any]:
    """Describe a case for a line or JSON."""
    import numpy as np

    from mri_denoise.io.dicom.layout import volume_of

    details = volume_of(case)
    sizes = np.linalg.norm(details.affine[:3, :3], axis=0)
    stacks = [len(stack.slices) for stack in details.stacks]
    return {
        "name": case.label,
        "what": details.what,
        "series_uid": details.series_uid,
        "description": details.description,
        "files": len(details.paths),
        "volumes": len(stacks),
        "shape": [*details.shape[:2], stacks[0] if len(set(stacks)) == 1 else stacks],
        "voxel_mm": [round(float(size), 4) for size in sizes],
        "slices_as_context": details.contiguous,
        "denoised": True,
        "notes": list(details.notes),
        "sources": [str(path) for path in details.paths],
    }


def _line(volume: dict[str, Any]) -> str:
    columns, rows, slices = volume["shape"]
    shape = f"{columns} x {rows} x {slices}" if isinstance(slices, int) else f"{columns} x {rows}, {sum(slices)} slices"
    several = f"{volume['volumes']} volumes of " if volume["volumes"] > 1 else ""
    voxel = " x ".join(f"{size:.3g}" for size in volume["voxel_mm"])
    notes = f" ({'; '.join(volume['notes'])})" if volume["notes"] else ""
    files = _count(volume["files"], "file")
    return f"{volume['name']}: {volume['what']}, {files}, {several}{shape}, {voxel} mm, would be denoised{notes}"


def _left_alone(skips: list[Skip]) -> list[dict[str, Any]]:
    """Group the files that are left alone by folder and reason."""
    groups: dict[tuple[Path, str, bool], list[Path]] = {}
    for skip in skips:
        groups.setdefault((skip.source.parent, skip.reason, skip.damaged), []).append(skip.source)
    return [
        {"folder": str(folder), "reason": reason, "damaged": damaged, "files": [str(path) for path in files]}
        for (folder, reason, damaged), files in groups.items()
    ]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
