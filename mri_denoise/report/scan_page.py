"""The page of a scan: images, checks, histograms and provenance in one HTML file that needs no other."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from mri_denoise.noise.correlation import MAX_LAG, noise_correlation
from mri_denoise.record import RunRecord
from mri_denoise.report.checks import Check, check_input, check_residual, verdict
from mri_denoise.report.cite import cite, without_folders
from mri_denoise.report.embed import Embedded, embed, embed_later
from mri_denoise.report.histogram import intensity_chart, removed_chart
from mri_denoise.report.html import niivue, number, render, write_page
from mri_denoise.report.pictures import draw
from mri_denoise.report.residual import Residual, find_tissue, measure_residual
from mri_denoise.report.scan import Scan
from mri_denoise.report.sources import load_scan
from mri_denoise.report.summary import Summary
from mri_denoise.volume import Volume, slice_axis_of

_ENDINGS = re.compile(r"\.(nii|mgh|mgz|hdr|img|png|jpe?g|bmp|tiff?|dcm)(\.gz)?$", re.IGNORECASE)
_MODES = (("before", "Before"), ("after", "After"), ("wipe", "Wipe"), ("flicker", "Flicker"), ("removed", "Removed"))
_SHOWN_FILES = 3
_RANGE = ("low", "high", "white", "noiseLow", "noiseHigh")


def write_scan_page(
    record: RunRecord, folder: Path, destination: Path, *, staged: Mapping[str, Path] = MappingProxyType({})
) -> Summary:
    """Write the page of a scan that was denoised.

    Args:
        record: of the run; its files are read again.
        folder: where the record lies.
        destination: the HTML file.
        staged: where files are until they have the names that the record gives them.

    Returns:
        the numbers that a group page compares.

    Raises:
        InputError: if a file is missing, has changed since, or cannot be read.
        OutputError: if the page cannot be written.

    Examples:
        >>> record = load_record(Path("out/sub-01_T1w.mri-denoise.json"))  # doctest: +SKIP
        >>> write_scan_page(record, Path("out"), Path("out/sub-01_T1w_report.html")).verdict  # doctest: +SKIP
        'What was removed looks like noise.'
    """
    scan = load_scan(record, folder, staged)
    tissue = find_tissue(scan.counted(scan.after), scan.sigma, picture=scan.picture)
    found = _measure(scan, tissue)
    checks = check_residual(found, picture=scan.picture)
    scale = found.expected or found.std or 1.0
    pictures = draw(scan, scale)
    summary = _summary(scan, found, checks, pictures.thumbnail)
    volumes = embed(scan.before, scan.after, tissue, scan.noise_map, scale=scale)
    moments = {number: (m.before, m.after, m.noise_map) for number, m in scan.later.items()}
    later = embed_later(volumes, moments, scale=scale)
    solid = not scan.picture and min(volumes.meta["shape"]) > 1
    planes = _planes(volumes.meta["shape"], scan.picture)
    removed = scan.before[tissue] - scan.after[tissue]
    page = render(
        "scan.html",
        title=f"{summary.name} – denoising report",
        summary=summary.as_dict(),
        record=record,
        size=_size(scan),
        notes=_notes(scan, volumes.note, list(later)),
        figure=pictures.figure,
        modes=[*_MODES, *([("noise", "Noise map")] if volumes.noise else []), *([("solid", "3D")] if solid else [])],
        planes=planes,
        checks=checks,
        input_checks=check_input(scan, found),
        charts=[removed_chart(removed, found.expected), intensity_chart(scan.before[tissue], scan.after[tissue])],
        provenance=_provenance(record, found),
        cite=cite(record),
        meta=_meta(scan, volumes, later, planes),
        volumes=[volumes, *later.values()],
        library=niivue() if solid else None,
    )
    write_page(page, destination)
    return summary


def record_hash(record: RunRecord) -> str:
    """SHA-256 of a record, by which a page knows whether it is current."""
    return hashlib.sha256(json.dumps(record.as_dict(), sort_keys=True).encode()).hexdigest()


def name_of(record: RunRecord) -> str:
    """What a page calls a scan: its label without folders, which may name people, and without its ending."""
    return _ENDINGS.sub("", record.case.rpartition("/")[2])


def _measure(scan: Scan, tissue: np.ndarray) -> Residual:
    before, after = scan.counted(scan.before), scan.counted(scan.after)
    correlation = np.eye(1, MAX_LAG + 1).repeat(3, axis=0)
    if not scan.picture:
        volume = Volume(array=before[None], affine=scan.affine)
        correlation = noise_correlation(volume.array, slice_axis_of(volume))
    sigma = scan.noise_map if scan.noise_map is not None else scan.sigma
    strength = float(scan.record.settings.get("strength", 1.0) or 0)
    found = measure_residual(before, after, tissue, sigma=sigma, strength=strength, correlation=correlation)
    signal = found.signal if scan.counts_from_air else None
    return replace(found, signal=signal, mean=scan.sign * found.mean)


def _summary(scan: Scan, found: Residual, checks: Sequence[Check], thumbnail: str) -> Summary:
    record, (status, sentence) = scan.record, verdict(checks, found)
    name = name_of(record)
    excess = np.subtract(found.neighbours, found.noise_neighbours)
    return Summary(
        name=name,
        kind=name.rpartition("_")[2] if name.startswith("sub-") and "_" in name else "",
        record=record_hash(record),
        time=record.time,
        model=f"{record.model.name} {record.model.version}",
        sigma=scan.sigma,
        snr_before=found.snr_before,
        snr_after=found.snr_after,
        ratio=found.ratio,
        image=found.image,
        neighbours=float(excess.max()),
        spot=found.spot.height if found.spot else 0.0,
        status=status,
        verdict=sentence,
        picture=thumbnail,
    )


def _size(scan: Scan) -> str:
    if scan.picture:
        return f"{scan.after.shape[0]} × {scan.after.shape[1]} pixels"
    voxels, edges = (" × ".join(map(str, values)) for values in (scan.after.shape, scan.spacing.round(2).tolist()))
    series = f", {scan.volumes} volumes" if scan.volumes > 1 else ""
    return f"{voxels} voxels of {edges} mm{series}"


def _notes(scan: Scan, left_out: str, later: Sequence[int]) -> list[str]:
    notes = [left_out] if left_out else []
    if scan.volumes > 1 and later:
        shown = f"{', '.join(str(number + 1) for number in [0, *later[:-1]])} and {later[-1] + 1}"
        notes.append(f"Volumes {shown} are shown. All numbers are of the first of {scan.volumes} volumes.")
    elif scan.volumes > 1:
        notes.append(f"The first of {scan.volumes} volumes is shown and measured; this page has no room for others.")
    if scan.resized:
        notes.append("Before is the input at the size of the result, as --picture-size made it.")
    if scan.rebuilt:
        notes.append("The input was not found. It is rebuilt from the result and the stored residual.")
    if scan.zero != 0 and scan.counts_from_air:
        notes.append(f"The image does not count from 0: no signal was taken for {number(scan.zero)}.")
    elif scan.zero != 0:
        notes.append("No value of the image was found to mean no signal, so that it has no SNR.")
    variation = scan.record.sigma_variation
    if scan.noise_map is None and variation and variation[0] > 1:
        notes.append("The noise level varies over the image; with --noise-map its map would be shown here.")
    return notes


def _planes(shape: Sequence[int], picture: bool) -> list[dict[str, Any]]:
    """Axes of each plane: u runs along its columns and v down its rows, w is across; the letters at its edges."""
    planes: list[dict[str, Any]] = [
        {"name": "axial", "u": 0, "v": 1, "w": 2, "letters": ["R", "L", "A", "P"]},
        {"name": "coronal", "u": 0, "v": 2, "w": 1, "letters": ["R", "L", "S", "I"]},
        {"name": "sagittal", "u": 1, "v": 2, "w": 0, "letters": ["A", "P", "S", "I"]},
    ]
    if picture:
        planes = [{"name": "image", "u": 1, "v": 0, "w": 2, "letters": ["", "", "", ""]}]
    flat = [plane for plane in planes if shape[plane["u"]] > 1 and shape[plane["v"]] > 1] or planes[:1]
    turned = {"flipU": not picture, "flipV": not picture}  # right on the left, front and head at the top
    return [{**plane, **turned, "count": shape[plane["w"]], "slices": shape[plane["w"]] > 1} for plane in flat]


def _meta(
    scan: Scan, volumes: Embedded, later: Mapping[int, Embedded], planes: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """What the viewer needs to know."""
    meta = dict(volumes.meta)
    series = {0: volumes, **later}
    spacing = np.ones(3) if scan.picture else np.multiply(scan.spacing, meta["step"])
    lengths = np.multiply(meta["shape"], spacing)
    shown = sorted({axis for plane in planes for axis in (plane["u"], plane["v"])})
    return {
        **meta,
        "spacing": [float(s) if np.isfinite(s) and s > 0 else 1.0 for s in spacing],
        "extent": float(max(lengths[axis] for axis in shown)) or 1.0,
        "start": [n // 2 for n in meta["shape"]],
        "series": [{"number": number + 1, **_range(volume)} for number, volume in series.items()],
        "volumes": scan.volumes,
        "planes": [dict(plane) for plane in planes],
        "picture": scan.picture,
        "full": list(scan.after.shape),
        "file": [[int(axis), int(flip)] for axis, flip in scan.turn],
        "affine": np.where(np.isfinite(scan.affine), scan.affine, 0.0)[:3].tolist(),
    }


def _range(volume: Embedded) -> dict[str, Any]:
    """What differs between the volumes of a series: the values that black and white stand for."""
    return {name: volume.meta[name] for name in _RANGE if name in volume.meta}


def _provenance(record: RunRecord, found: Residual) -> list[tuple[str, str]]:
    """Rows of the table, from the run record. Of paths only names are shown, since folders may name people."""
    levels = ", ".join(number(level) for level in (record.sigma or [])[:8])
    if record.sigma and len(record.sigma) > 8:
        levels += f" … ({len(record.sigma)} volumes)"
    rows = [
        ("Input", _files([(Path(file.path).name, file.sha256) for file in record.inputs])),
        ("Result", _files([(Path(path).name, "") for path in record.outputs])),
        ("Model", f"{record.model.name} {record.model.version}, weights SHA-256 {record.model.weights_sha256}"),
        ("Noise level", levels or "not used"),
        ("Noise in tissue", "–" if found.expected is None else f"standard deviation {number(found.expected)}"),
        (
            "Removed from tissue",
            f"mean {number(found.mean)}, standard deviation {number(found.std)}, excess kurtosis {found.kurtosis:.1f}",
        ),
        *([("Signal given back", f"in {record.returned[0]} voxels, by the guard")] if record.returned else []),
        *(
            (f"Setting: {name.replace('_', ' ')}", "–" if value is None else without_folders(value))
            for name, value in record.settings.items()
        ),
        ("Denoised", f"{record.time}, in {record.seconds:g} s"),
        ("Versions", ", ".join(f"{name} {version}" for name, version in record.versions.items())),
    ]
    return rows


def _files(files: Sequence[tuple[str, str]]) -> str:
    shown = "; ".join(f"{name} (SHA-256 {digest})" if digest else name for name, digest in files[:_SHOWN_FILES])
    more = len(files) - _SHOWN_FILES
    return f"{shown}; and {more} more, in the run record" if more > 0 else shown
