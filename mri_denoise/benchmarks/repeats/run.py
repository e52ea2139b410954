"""Measure a model on repeated scans, and write what was found."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from mri_denoise import record
from mri_denoise.benchmarks.baselines import Slicing
from mri_denoise.benchmarks.baselines.learned import learned
from mri_denoise.benchmarks.progress import SILENT, Progress
from mri_denoise.benchmarks.repeats.scores import (
    NoiseOfRepeats,
    RepeatScore,
    load_repeats,
    noise_of_repeats,
    object_mask,
    score_repeats,
)
from mri_denoise.bundles.weights import sha256
from mri_denoise.denoiser import Denoiser
from mri_denoise.errors import InputError
from mri_denoise.io import Case
from mri_denoise.noise.series import find_series_noise
from mri_denoise.report.figures import comparison
from mri_denoise.report.text import markdown_table, write_csv, write_text
from mri_denoise.settings import DEFAULTS, Quality
from mri_denoise.volume import Volume, slice_axis_of


def run_repeats(
    cases: Sequence[Case],
    model: Denoiser,
    output: Path,
    quality: Quality = DEFAULTS.quality,
    sigma: float | None = None,
    span: tuple[int, int] | None = None,
    progress: Progress = SILENT,
) -> dict[str, object]:
    """Denoise each volume by itself and score it; write ``repeats.csv``, ``.md`` and ``.png``, and ``record.json``.

    Args:
        cases: one series, or several files of the same object.
        model: what denoises.
        output: the folder.
        quality: ``"fast"``, ``"balanced"`` or ``"best"``.
        sigma: noise level to denoise with, in the unit of the files; by default it is estimated from each volume.
            Scores use the estimates.
        span: numbers of the first and of the last volume that are repeats, from 0; all by default.
        progress: shows which volume is denoised.

    Returns:
        the record.

    Raises:
        InputError: if a file cannot be read, the grids differ, or the series has no voxel above 0.
    """
    series = load_repeats(cases, span)
    mask = object_mask(series.array)
    if not mask.any():
        raise InputError(f"{cases[0].label}: has no voxel above 0; choose another series.")
    start = time.perf_counter()
    models = list(find_series_noise(series.array, slice_axis=slice_axis_of(series)))
    denoised = _denoise(series, model, quality, sigma, progress)
    seconds = (time.perf_counter() - start) / len(denoised)
    scores = score_repeats(series.array, denoised, [found.sigma for found in models], mask, span[0] if span else 0)
    noise = noise_of_repeats(series.array, mask)
    comparison(series.array[0], denoised[0], output / "repeats.png", affine=series.affine)
    write_csv([_row(score) for score in scores], output / "repeats.csv")
    write_text(_markdown(cases, scores, noise), output / "repeats.md")
    done: dict[str, object] = record.run() | {
        "model": {"name": model.bundle.name, "weights_sha256": model.model.weights_sha256},
        "settings": {"quality": quality, "sigma": "auto" if sigma is None else sigma, "volumes": span},
        "inputs": [{"path": str(path), "sha256": sha256(path)} for case in cases for path in case.sources],
        "seconds_per_volume": seconds,
        "noise_of_repeats": None if noise is None else asdict(noise),
        "volumes": [asdict(score) for score in scores],
    }
    record.write_record(done, output / "record.json")
    return done


def _denoise(series: Volume, model: Denoiser, quality: Quality, sigma: float | None, progress: Progress) -> np.ndarray:
    """Each volume denoised by itself, float32 (T, X, Y, Z)."""
    axis, affine = slice_axis_of(series), series.affine
    slicing = Slicing(quality=quality, slice_axis=axis, affine=affine, contiguous=series.contiguous)
    method = learned(model, slicing, estimates_sigma=sigma is None)
    denoised = np.empty_like(series.array)
    with progress.stage("", len(denoised)) as step:
        for number, volume in enumerate(series.array):
            step(0, f"volume {number + 1} of {len(denoised)}")
            denoised[number] = method(volume, sigma or 0.0)
            step()
    return denoised


def _row(score: RepeatScore) -> dict[str, object]:
    """The row of ``repeats.csv``."""
    values = asdict(score)
    ratios = values.pop("level_ratio") or (None, None, None)
    values |= dict(zip(("level_ratio", "level_ratio_low", "level_ratio_high"), ratios, strict=True))
    lags = values.pop("residual_correlation")
    return values | dict(zip(("residual_lag_x", "residual_lag_y", "residual_lag_z"), lags, strict=True))


def _markdown(cases: Sequence[Case], scores: Sequence[RepeatScore], noise: NoiseOfRepeats | None) -> str:
    header = [
        "volume", "sigma", "sigma / noise over time", "mean of others: noisy", "denoised",
        "signal of others: noisy", "denoised",
        "residual / sigma", "residual lag 1 (x, y, z)",
    ]  # fmt: skip
    lines = []
    for s in scores:
        psnr = (s.psnr_noisy, s.psnr_denoised, s.psnr_signal_noisy, s.psnr_signal_denoised)
        cells = ["-" if value is None else f"{value:.2f} dB" for value in psnr]
        removed = (f"{s.residual_ratio:.2f}", _lags(s.residual_correlation))
        ratios = s.level_ratio or (np.nan,) * 3
        ratio = "-" if np.isnan(ratios).any() else "{:.2f} ({:.2f} to {:.2f})".format(*ratios)
        lines.append([str(s.volume), f"{s.sigma:.4g}", ratio, *cells, *removed])
    parts = [
        f"# Real noise: {', '.join(case.label for case in cases)}",
        "PSNR over the object, against the mean of the other noisy volumes and against their signal without Rician "
        "bias. The others are noisy too, so no PSNR here can grow beyond what their mean allows. Sigma is compared to "
        "the noise over time (differences of successive volumes in a window around each voxel): median, 5th and 95th "
        "percentile of the quotient.",
        markdown_table(header, lines),
    ]
    if noise is not None:
        parts.append(
            f"Differences of successive volumes: sigma {noise.sigma:.4g}, lag 1 {_lags(noise.correlation)}: the own "
            "correlation of the noise, which a residual without anatomy shares."
        )
    return "\n\n".join(parts) + "\n"


def _lags(values: Sequence[float]) -> str:
    return ", ".join("-" if np.isnan(value) else f"{value:+.2f}" for value in values)
