"""The score of one result, which the benchmarks against a truth share."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from mri_denoise.benchmarks.baselines import Method


@dataclass(frozen=True, kw_only=True)
class Score:
    """How close the result of one method is to the image without noise.

    Args:
        image: name of the image.
        contrast: of the image, as ``T1w``.
        level: of the noise in percent: the sigma of Rician noise, of the maximum; the density of salt-and-pepper noise,
            of the pixels.
        method: name of the method; ``noisy`` is the image before denoising.
        psnr: dB, higher is better.
        ssim: higher is better, at most 1.
        seconds: one call of the method, without reading and scoring.
    """

    image: str
    contrast: str
    level: float
    method: str
    psnr: float
    ssim: float
    seconds: float


AnyScore = TypeVar("AnyScore", bound=Score)


def select(scores: Sequence[AnyScore], *, method: str, level: float | None = None) -> list[AnyScore]:
    """The scores of one method at one level of noise, or at all levels, in their order."""
    return [score for score in scores if score.method == method and level in (None, score.level)]


def levels_of(scores: Sequence[Score]) -> list[float]:
    """The levels of noise in rising order."""
    return sorted({score.level for score in scores})


def timed(method: Method, image: np.ndarray, sigma: float) -> tuple[np.ndarray, float]:
    """Call a method once.

    Args:
        method: what denoises, loaded.
        image: as for :class:`~mri_denoise.benchmarks.baselines.base.Method`.
        sigma: of the noise, in the unit of the image.

    Returns:
        the result, and the seconds that it took.
    """
    start = time.perf_counter()
    result = method(image, sigma)
    return result, time.perf_counter() - start
