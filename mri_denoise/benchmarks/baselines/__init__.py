"""Denoisers to compare with, under one contract. Importing this imports none of the packages that they need."""

from __future__ import annotations

from mri_denoise.benchmarks.baselines.adaptive_median import ADAPTIVE_MEDIAN
from mri_denoise.benchmarks.baselines.ants import ANTS
from mri_denoise.benchmarks.baselines.base import Denoiser
from mri_denoise.benchmarks.baselines.bm3d import BM3D
from mri_denoise.benchmarks.baselines.bm4d import BM4D
from mri_denoise.benchmarks.baselines.gaussian import GAUSSIAN
from mri_denoise.benchmarks.baselines.median import MEDIAN
from mri_denoise.benchmarks.baselines.nlmeans import NLMEANS
from mri_denoise.benchmarks.baselines.total_variation import TOTAL_VARIATION
from mri_denoise.benchmarks.baselines.wavelet import WAVELET
from mri_denoise.benchmarks.baselines.wiener import WIENER
from mri_denoise.errors import InputError

__all__ = ["BASELINES", "Denoiser", "get"]

BASELINES: dict[str, Denoiser] = {
    denoiser.name: denoiser
    for denoiser in (
        GAUSSIAN, WIENER, MEDIAN, TOTAL_VARIATION, WAVELET, NLMEANS, ANTS, BM3D, BM4D, ADAPTIVE_MEDIAN
    )
}  # fmt: skip


def get(name: str) -> Denoiser:
    """The classical denoiser of that name.

    Raises:
        InputError: if there is none.
    """
    if name not in BASELINES:
        raise InputError(f"method {name}: not known; choose among {', '.join(BASELINES)}.")
    return BASELINES[name]
