"""Judge the estimate of the noise on random simulated scanners."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from mri_denoise import record
from mri_denoise.benchmarks.noise.harm import DARKEST, HEAD, Harm, measure_harm
from mri_denoise.benchmarks.progress import Progress
from mri_denoise.denoiser import Denoiser
from mri_denoise.noise.model import NoiseModel, find_noise
from mri_denoise.noise.rician import chi_mean
from mri_denoise.report.text import markdown_table, write_text
from mri_denoise.simulation.scanner import Scan
from mri_denoise.training.noise_scans import random_scan
from mri_denoise.training.sources import find_sources

LEVELS = (0.008, 0.1)  # of the maximum, as scanners of hospitals have it
_AIR = 0.02  # times the 99.5th percentile of the truth: below is air
_LEAST_AIR = 500  # voxels


@dataclass(frozen=True, kw_only=True)
class ScannerScore:
    """How well the noise of one scan was found.

    Args:
        median_error: of the level over the voxels of the head, relative to the true one.
        high_error: its 95th percentile.
        ratio: median of the found level divided by the true one.
        confidence: of the model in its level, 0 to 1.
        floor_error: relative error of the mean of the air; None where the air is suppressed or masked, or hardly any.
        source: of the level.
        seconds: that the estimate took.
        harm: what denoising does; None if it was not asked for.
        parameters: of the scanner.
    """

    median_error: float
    high_error: float
    ratio: float
    confidence: float
    floor_error: float | None
    source: str
    seconds: float
    harm: Harm | None
    parameters: dict[str, float | int | str | bool | None]


def run_scanners(
    dataset: Path | None,
    output: Path,
    count: int,
    seed: int,
    progress: Progress,
    part: str = "validation",
    denoiser: Denoiser | None = None,
) -> dict[str, object]:
    """Scan, estimate and compare; write ``scanners.md`` and ``scanners.json``.

    Args:
        dataset: folder with ``datalist.json``; phantoms alone if there is none.
        output: folder of the table and of the record.
        count: number of scans.
        seed: of all choices and of the noise.
        progress: shows how far it is.
        part: list of the datalist.
        denoiser: denoises each scan, too, and compares it with the truth; None measures the noise alone.

    Returns:
        the record.

    Raises:
        InputError: if the data set cannot be used.
    """
    families = find_sources(dataset, part) if dataset is not None else []
    scores = []
    with progress.stage("scanning", count) as step:
        for index in range(count):
            found = random_scan(families, np.random.default_rng([seed, index]), LEVELS)
            scores.append(_score(found, denoiser))
            step()
    write_text(_table(scores), output / "scanners.md")
    done: dict[str, object] = record.run() | {
        "model": None if denoiser is None else asdict(denoiser.model),
        "objects": "phantoms" if dataset is None else part,
        "count": count,
        "seed": seed,
        "summary": _summary(scores),
        "scans": [asdict(score) for score in scores],
    }
    record.write_record(done, output / "scanners.json")
    return done


def _score(scan: Scan, denoiser: Denoiser | None) -> ScannerScore:
    """Find the noise of a scan, denoise it if there is a denoiser, and compare."""
    start = time.perf_counter()
    model = find_noise(scan.image, slice_axis=2)
    seconds = time.perf_counter() - start
    bright = float(np.percentile(scan.truth, 99.5))
    head = (scan.truth > HEAD * bright) & (scan.sigma > 0)
    ratio = (np.broadcast_to(model.sigma, scan.image.shape) / np.maximum(scan.sigma, 1e-30))[head]
    errors = np.abs(ratio - 1)
    return ScannerScore(
        median_error=float(np.median(errors)),
        high_error=float(np.percentile(errors, 95)),
        ratio=float(np.median(ratio)),
        confidence=model.confidence.level,
        floor_error=_floor_error(scan, model, scan.truth < _AIR * bright),
        source=model.source,
        seconds=seconds,
        harm=None if denoiser is None else measure_harm(denoiser, scan),
        parameters=scan.parameters.record(),
    )


def _floor_error(scan: Scan, model: NoiseModel, air: np.ndarray) -> float | None:
    """Relative error of the mean of the air."""
    if scan.parameters.air < 1 or np.count_nonzero(air) < _LEAST_AIR:
        return None
    floor = np.broadcast_to(model.sigma * model.floor_ratio, scan.image.shape)[air] * chi_mean(model.coils)
    return float(abs(np.median(floor) / np.median(scan.floor_mean[air]) - 1))


def _summary(scores: list[ScannerScore]) -> dict[str, float | int | None]:
    """Medians over the scans, and numbers of those that denoising makes worse, or too dark."""
    floors = [score.floor_error for score in scores if score.floor_error is not None]
    harms = [score.harm for score in scores if score.harm is not None]
    return {
        "median_error": float(np.median([score.median_error for score in scores])),
        "high_error": float(np.median([score.high_error for score in scores])),
        "ratio": float(np.median([score.ratio for score in scores])),
        "floor_error": float(np.median(floors)) if floors else None,
        "seconds": float(np.mean([score.seconds for score in scores])),
        "gain": float(np.median([harm.gain for harm in harms])) if harms else None,
        "worse": sum(harm.gain < 0 for harm in harms) if harms else None,
        "darker": sum(harm.brightness is not None and harm.brightness < -DARKEST for harm in harms) if harms else None,
    }


def _table(scores: list[ScannerScore]) -> str:
    """Medians over all scans and over kinds of scanners, as Markdown."""
    kinds = {
        "all": scores,
        "no acceleration": [s for s in scores if s.parameters["acceleration"] == 1],
        "accelerated twice": [s for s in scores if s.parameters["acceleration"] == 2],
        "accelerated three times": [s for s in scores if s.parameters["acceleration"] == 3],
        "zero-filled": [s for s in scores if float(s.parameters["zero_filling"] or 1) > 1.05],
        "sigma below 2 % of the maximum": [s for s in scores if float(s.parameters["level"] or 0) < 0.02],
        "sigma above 5 %": [s for s in scores if float(s.parameters["level"] or 0) > 0.05],
        "level by the air": [s for s in scores if s.source == "air"],
    }
    header = ["scanners", "scans", "median error", "95th percentile", "found / true", "floor"]
    keys = ["median_error", "high_error", "ratio", "floor_error"]
    if scores and scores[0].harm is not None:
        header += ["gain, dB", "worse", "darker"]
        keys += ["gain", "worse", "darker"]
    rows = []
    for name, chosen in kinds.items():
        if chosen:
            found = _summary(chosen)
            rows.append([name, str(len(chosen)), *(_cell(found[key]) for key in keys)])
    return markdown_table(header, rows) + "\n"


def _cell(number: float | int | None) -> str:
    """A number of the table: counts as they are."""
    if number is None:
        return "-"
    return str(number) if isinstance(number, int) else f"{number:.2f}"
