"""Denoisers against the truth: every method on references with added Rician noise of several levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mri_denoise import record
from mri_denoise.benchmarks.baselines import Method
from mri_denoise.benchmarks.cache import Json, ResultCache
from mri_denoise.benchmarks.progress import SILENT, Progress
from mri_denoise.benchmarks.references import LEVELS, Reference, Truth
from mri_denoise.benchmarks.scores import Score, timed
from mri_denoise.errors import InputError, OutputError, reason
from mri_denoise.evaluation import metrics

BIAS_BINS = 16


@dataclass(frozen=True, kw_only=True)
class VolumeScore(Score):
    """One result on a reference.

    PSNR, SSIM and HFEN are those of the head, with the maximum of the reference as peak.

    Args:
        label: of the method.
        hfen: high-frequency error norm, lower is better.
        voxels: how many the method was given.
        bias: for each of 16 bins of the true intensity from 0 to the maximum: the mean error in percent of the maximum
            (None where the bin is empty) and the number of voxels.
    """

    label: str
    hfen: float
    voxels: int
    bias: tuple[tuple[float | None, int], ...] = field(repr=False, default=())


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A result that is missing because something failed.

    Args:
        reference: label of the reference.
        level: percent; None if the reference as a whole failed.
        method: name of the method; empty if the reference as a whole failed.
        reason: one line.
    """

    reference: str
    level: float | None = None
    method: str = ""
    reason: str


@dataclass(frozen=True, kw_only=True)
class Task:
    """Noise of one level on one reference, drawn when the first method needs it.

    Args:
        reference: which one.
        truth: its pixels.
        level: sigma in percent of the maximum of the reference.
        seed: of the noise.
    """

    reference: Reference
    truth: Truth
    level: float
    seed: int

    @property
    def sigma(self) -> float:
        """Standard deviation of the noise in the unit of the reference."""
        return self.level / 100 * self.truth.peak

    @cached_property
    def noisy(self) -> np.ndarray:
        """The image that methods are given, float32 (X, Y, Z); it is read-only."""
        image = self.truth.noisy(self.level, self.seed)
        image.flags.writeable = False
        return image

    def key(self, method: Method) -> dict[str, Json]:
        """All that the result of a method depends on."""
        span = self.truth.slab[self.truth.slice_axis]
        return {
            "reference": self.reference.sha256,
            "level": self.level,
            "seed": self.seed,
            "slices": [span.start, span.stop],
            **self.truth.cut(method).identity(),
        }


def run_accuracy(
    references: Sequence[Reference],
    methods: Sequence[Method],
    folder: Path,
    levels: Sequence[float] = LEVELS,
    seed: int = 0,
    middle: int | None = None,
    progress: Progress = SILENT,
) -> tuple[list[VolumeScore], list[Failure]]:
    """Denoise every reference at every level by every method and score the results.

    Args:
        references: the truth.
        methods: what is compared.
        folder: of the cache; a result that is there is not computed again.
        levels: sigma of the noise in percent of the maximum of the reference.
        seed: of the noise.
        middle: number of slices in the middle of each reference that are used; all by default.
        progress: shows which result is computed.

    Returns:
        the scores in the order of references, levels and methods, and what failed.

    Raises:
        OutputError: if a result cannot be written.
    """
    cache = ResultCache(folder)
    results: list[VolumeScore | Failure] = []
    with progress.stage("", len(references) * len(levels) * len(methods)) as step:
        for reference in references:
            try:
                truth = reference.load(middle)
                if not truth.mask.any():
                    raise InputError(f"{reference.label}: the head is not in the middle {middle} slices; take more.")
            except InputError as error:
                results.append(Failure(reference=reference.label, reason=str(error)))
                step(len(levels) * len(methods))
                continue
            for level in levels:
                task = Task(reference=reference, truth=truth, level=level, seed=seed)
                for method in methods:
                    step(0, f"{reference.label}, {level:g} %, {method.label}")
                    results.append(_result(task, method, cache))
                    step()
    scores = [result for result in results if isinstance(result, VolumeScore)]
    return scores, [result for result in results if isinstance(result, Failure)]


def _result(task: Task, method: Method, cache: ResultCache) -> VolumeScore | Failure:
    """The score of one method from the cache or from a call."""
    try:
        stored = cache.recall(task.key(method), lambda: score_method(task, method))
    except OutputError:
        raise
    except Exception as error:  # whatever the library of a rival raises: the others go on
        name = task.reference.label
        return Failure(reference=name, level=task.level, method=method.name, reason=reason(error))
    return _score(task, method, stored)


def score_method(task: Task, method: Method) -> dict[str, Json]:
    """Run a method once and score its result.

    Args:
        task: the noisy reference.
        method: what denoises it.

    Returns:
        ``psnr`` (dB), ``ssim``, ``hfen``, ``seconds``, ``voxels``, ``bias`` (see :class:`VolumeScore`) and ``time``.

    Raises:
        ValueError: if the result has another shape or is not finite.
        InputError: if a package that the method needs is not installed.
    """
    truth = task.truth
    method = truth.cut(method)
    method.load()
    result, seconds = timed(method, task.noisy, task.sigma)
    if result.shape != truth.clean.shape or not np.isfinite(result).all():
        raise ValueError(f"returns the shape {result.shape} or values that are not finite")
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
        "time": record.now(),
    }


def _score(task: Task, method: Method, stored: Any) -> VolumeScore:
    return VolumeScore(
        image=task.reference.label,
        contrast=task.reference.contrast,
        level=task.level,
        method=method.name,
        label=method.label,
        psnr=float(stored["psnr"]),
        ssim=float(stored["ssim"]),
        hfen=float(stored["hfen"]),
        seconds=float(stored["seconds"]),
        voxels=int(stored["voxels"]),
        bias=tuple((error, int(count)) for error, count in stored["bias"]),
    )
