"""Denoise scans as they come, and the same scans with simulated noise, and compare what was removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from mri_denoise import record
from mri_denoise.benchmarks.progress import SILENT, Progress
from mri_denoise.benchmarks.scans.pictures import draw
from mri_denoise.benchmarks.scans.scores import Removed, explained, find_regions, score
from mri_denoise.bundles.weights import sha256
from mri_denoise.denoiser import Denoiser
from mri_denoise.io import Case, read
from mri_denoise.noise.model import NoiseModel, find_noise
from mri_denoise.noise.simulate import draw_noise, noise_filters
from mri_denoise.report.planes import Plane, anatomical_plane
from mri_denoise.report.text import markdown_table, write_text
from mri_denoise.volume import Volume, slice_axis_of

SLICES = 16


@dataclass(frozen=True, kw_only=True)
class ScanScore:
    """What was removed from one scan.

    Args:
        name: of the scan.
        level: median of the sigma that was found, in the scan's unit.
        variation: high by low sigma over the image.
        snr: root mean square of the signal, divided by the level.
        removed: from the scan.
        simulated: from simulated noise.
        rim: mean that the floor explains in the dark rim, in sigma.
        air: the same in the air.
        lost: correlation of the error of the result, truth less result, with the Laplacian of the result, in simulated
            noise: below 0 if edges were smoothed.
        psnr: of the result against the scan, in dB of its 99th percentile: how little was changed.
    """

    name: str
    level: float
    variation: float
    snr: float
    removed: Removed
    simulated: Removed
    rim: float
    air: float
    lost: float
    psnr: float


def run_scans(
    cases: Sequence[Case], denoiser: Denoiser, output: Path, slices: int = SLICES, progress: Progress = SILENT
) -> dict[str, object]:
    """Measure each scan; write ``scans.md``, ``scans.png`` and ``record.json``.

    Args:
        cases: the first volume of each is measured.
        denoiser: what denoises.
        output: the folder.
        slices: how many in the middle are denoised; 0 takes all.
        progress: shows which scan is denoised.

    Returns:
        the record.

    Raises:
        InputError: if a scan cannot be read.
    """
    scores, pictures = [], []
    with progress.stage("", len(cases)) as step:
        for case in cases:
            step(0, case.label)
            found, picture = _measure(case.label, _middle(read(case), slices), denoiser)
            scores.append(found)
            pictures.append(picture)
            step()
    output.mkdir(parents=True, exist_ok=True)
    draw([found.name for found in scores], pictures, output / "scans.png")
    write_text(_markdown(scores), output / "scans.md")
    done: dict[str, object] = record.run() | {
        "model": {"name": denoiser.bundle.name, "weights_sha256": denoiser.model.weights_sha256},
        "settings": {"slices": slices},
        "inputs": [{"path": str(path), "sha256": sha256(path)} for case in cases for path in case.sources],
        "scans": [asdict(found) for found in scores],
    }
    record.write_record(done, output / "record.json")
    return done


def _measure(name: str, volume: Volume, denoiser: Denoiser) -> tuple[ScanScore, list[Plane]]:
    """The score of a scan, and its middle slice: scan, result, removed, removed from simulated noise."""
    axis = slice_axis_of(volume)
    model = find_noise(volume.array[0], slice_axis=axis)
    sigma = np.maximum(np.broadcast_to(model.sigma, volume.array.shape[1:]), 1e-30)
    noisy, denoised = volume.array[0], denoiser(volume).array[0]
    simulated = replace(volume, array=_with_noise(denoised, noisy, model, axis)[None])
    again = denoiser(simulated, sigma=model.sigma).array[0]
    turned = [np.moveaxis(array, axis, 2) for array in (noisy, denoised, sigma, simulated.array[0], again)]
    regions = find_regions(turned[0], turned[1], turned[2])
    lost = score((turned[1] - turned[4]) / turned[2], find_regions(turned[3], turned[4], turned[2])).edges
    removed, from_simulated = (turned[0] - turned[1]) / turned[2], (turned[3] - turned[4]) / turned[2]
    floor = np.moveaxis(np.broadcast_to(explained(denoised, model), noisy.shape), axis, 2)
    by_floor = score(floor, regions)
    top = float(np.percentile(denoised, 99))
    error = float(np.mean(np.square(noisy - denoised, dtype=np.float64), where=noisy > 0))
    found = ScanScore(
        name=name,
        level=model.level,
        variation=model.variation,
        snr=model.snr,
        removed=score(removed, regions),
        simulated=score(from_simulated, regions),
        rim=by_floor.rim,
        air=by_floor.air,
        lost=lost,
        psnr=10 * float(np.log10(top**2 / max(error, 1e-30))),
    )
    shown = (turned[0] / top, turned[1] / top, removed, from_simulated)
    return found, [anatomical_plane(np.moveaxis(array, 2, axis), volume.affine, axis) for array in shown]


def _middle(volume: Volume, slices: int) -> Volume:
    """The first volume of a case, its middle slices alone."""
    axis = slice_axis_of(volume) + 1
    length = volume.array.shape[axis]
    count = min(slices or length, length)
    first = (length - count) // 2
    cut = [slice(0, 1), slice(None), slice(None), slice(None)]
    cut[axis] = slice(first, first + count)
    return replace(volume, array=np.ascontiguousarray(volume.array[tuple(cut)]))


def _with_noise(clean: np.ndarray, scan: np.ndarray, model: NoiseModel, axis: int) -> np.ndarray:
    """Rician noise of the model's level and correlation on an image; masked voxels stay 0."""
    order = [axis, *(other for other in range(3) if other != axis)]
    filters = torch.from_numpy(noise_filters(model.correlation[order]))[None]
    generator = torch.Generator().manual_seed(0)
    rows, columns, depth = (clean.shape[place] for place in (order[1], order[2], order[0]))
    real, imaginary = (
        draw_noise((1, depth, rows, columns), filters, generator)[0].numpy().transpose(np.argsort(order))
        for _ in range(2)
    )
    noisy = np.hypot(np.maximum(clean, 0) + model.sigma * real, model.sigma * imaginary)
    return np.where(scan > 0, noisy, 0).astype(np.float32)


def _markdown(scores: Sequence[ScanScore]) -> str:
    """One row a scan: measured values, in brackets what is expected."""
    header = ["scan", "SNR", "sigma", "varies", "flat", "over the image", "rim", "air", "edges", "lost", "changed by"]
    rows = []
    for found in scores:
        real, like = found.removed, found.simulated
        rows.append([
            found.name, f"{found.snr:.0f}", f"{found.level:.3g}", f"x {found.variation:.1f}",
            f"{real.flat:.2f} ({like.flat:.2f})",
            f"{real.lowest:.2f} to {real.highest:.2f} ({like.lowest:.2f} to {like.highest:.2f})",
            _pair(real.rim, found.rim), _pair(real.air, found.air), _pair(real.edges, like.edges),
            f"{found.lost:+.2f}",
            f"{found.psnr:.1f} dB",
        ])  # fmt: skip
    return markdown_table(header, rows) + "\n"


def _pair(value: float, expected: float) -> str:
    return "-" if np.isnan(value) else f"{value:+.2f} ({expected:+.2f})"
