"""Denoisers against the truth: references with added Rician noise, every method, every level."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mri_denoise import record as provenance
from mri_denoise.benchmarks.cache import ResultCache
from mri_denoise.benchmarks.methods import Method
from mri_denoise.benchmarks.references import Reference, Truth
from mri_denoise.errors import InputError
from mri_denoise.evaluation import metrics

LEVELS = (1.0, 3.0, 5.0, 7.0, 9.0, 15.0)
BIAS_BINS = 16


@dataclass(frozen=True)
class Score:
    """One result.

    Args:
        reference: label of the reference.
        contrast: of the reference.
        level: sigma of the noise in percent of the reference's maximum.
        method: name of the method.
        label: of the method.
        psnr: dB over the head, the peak being the reference's maximum.
        ssim: mean over the head.
        hfen: over the head.
        seconds: one call of the method, without reading and scoring.
        voxels: how many the method was given.
        bias: of each of 16 bins of the true intensity from 0 to the maximum: mean error in percent of the maximum (None
            where the bin is empty) and number of voxels.
    """

    reference: str
    contrast: str
    level: float
    method: str
    label: str
    psnr: float
    ssim: float
    hfen: float
    seconds: float
    voxels: int
    bias: tuple[tuple[float | None, int], ...] = field(repr=False, default=())


@dataclass(frozen=True)
class Failure:
    """A result that could not be had.

    Args:
        reference: label of the reference.
        level: percent; None if all of the reference failed.
        method: name of the method; empty if all of the reference failed.
        reason: one line.
    """

    reference: str
    level: float | None
    method: str
    reason: str


@dataclass(frozen=True)
class Task:
    """Noise of one level on one reference, made when the first method needs it.

    Args:
        reference: which one.
        truth: its pixels.
        level: percent.
        seed: of the noise.
    """

    reference: Reference
    truth: Truth
    level: float
    seed: int

    @property
    def sigma(self) -> float:
        """Standard deviation of the noise in the reference's unit."""
        return self.level / 100 * self.truth.peak

    @cached_property
    def noisy(self) -> np.ndarray:
        """The image that methods are given; not to be written to."""
        image = self.truth.noisy(self.level, self.seed)
        image.flags.writeable = False
        return image

    def key(self, method: Method) -> dict[str, Any]:
        """All that the result of a method depends on."""
        span = self.truth.slab[self.truth.slice_axis]
        return {
            "reference": self.reference.sha256,
            "level": self.level,
            "seed": self.seed,
            "slices": [span.start, span.stop],
            **method.identity(self.truth),
        }


def run_accuracy(
    references: Sequence[Reference],
    methods: Sequence[Method],
    folder: Path,
    levels: Sequence[float] = LEVELS,
    seed: int = 0,
    middle: int | None = None,
    on_result: Callable[[str, bool], None] = lambda what, cached: None,
) -> tuple[list[Score], list[Failure]]:
    """Denoise every reference at every level by every method and score the results.

    Args:
        references: the truth.
        methods: what is compared.
        folder: of the cache: a result that is there is not worked out again.
        levels: sigma in percent of the reference's maximum.
        seed: of the noise.
        middle: only so many slices in the middle of each reference; all by default.
        on_result: called before each result with what it is and whether it was in the cache.

    Returns:
        the scores in the order of references, levels and methods, and what failed.
    """
    cache = ResultCache(folder)
    scores: list[Score] = []
    failures: list[Failure] = []
    for reference in references:
        try:
            truth = reference.load(middle)
            if not truth.mask.any():
                raise InputError(f"{reference.label}: the head is not in the middle {middle} slices; take more.")
        except InputError as error:
            failures.append(Failure(reference.label, None, "", str(error)))
            continue
        for level in levels:
            task = Task(reference, truth, level, seed)
            for method in methods:
                key = task.key(method)
                result = cache.load(key)
                on_result(f"{reference.label}, {level:g} %, {method.label}", result is not None)
                if result is None:
                    try:
                        result = score_method(task, method)
                    except Exception as error:  # whatever a rival's library throws: the others go on
                        failures.append(Failure(reference.label, level, method.name, _one_line(error)))
                        continue
                    cache.store(key, result)
                scores.append(_score(task, method, result))
    return scores, failures


def score_method(task: Task, method: Method) -> dict[str, Any]:
    """Run a method once and score what it gives.

    Returns:
        ``psnr`` (dB), ``ssim``, ``hfen``, ``seconds``, ``voxels``, ``bias`` (see :class:`Score`), ``time``.

    Raises:
        ValueError: if the result has another shape or is not finite.
    """
    truth = task.truth
    denoiser = method.prepared(truth)
    sigma = task.sigma if method.sigma_given else None
    start = time.perf_counter()
    result = denoiser(task.noisy, sigma)
    seconds = time.perf_counter() - start
    if result.shape != truth.clean.shape or not np.isfinite(result).all():
        raise ValueError(f"gives the shape {result.shape} or values that are not finite")
    edges = np.linspace(0, truth.peak, BIAS_BINS + 1)
    _, errors, counts = metrics.bias_by_intensity(truth.clean, result, edges, truth.mask)
    percent = [None if n == 0 else float(100 * e / truth.peak) for e, n in zip(errors, counts, strict=True)]
    return {
        "psnr": metrics.psnr(truth.clean, result, truth.mask, truth.peak),
        "ssim": metrics.ssim(truth.clean, result, truth.mask, truth.peak),
        "hfen": metrics.hfen(truth.clean, result, truth.mask),
        "seconds": seconds,
        "voxels": int(result.size),
        "bias": [[error, int(n)] for error, n in zip(percent, counts, strict=True)],
        "time": provenance.now(),
    }


def _score(task: Task, method: Method, result: dict[str, Any]) -> Score:
    return Score(
        reference=task.reference.label,
        contrast=task.reference.contrast,
        level=task.level,
        method=method.name,
        label=method.label,
        **{name: float(result[name]) for name in ("psnr", "ssim", "hfen", "seconds")},
        voxels=int(result["voxels"]),
        bias=tuple((error, int(count)) for error, count in result["bias"]),
    )


def _one_line(error: Exception) -> str:
    words = str(error).strip().splitlines()
    return f"{type(error).__name__}: {words[0]}" if words else type(error).__name__
