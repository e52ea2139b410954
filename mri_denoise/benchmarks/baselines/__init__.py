"""Methods to compare with, under one contract. Importing them imports none of the optional packages."""

from __future__ import annotations

from mri_denoise.benchmarks.baselines.base import Classical, Method, Noise, Slicing
from mri_denoise.benchmarks.baselines.classical import CLASSICAL, NOISY
from mri_denoise.benchmarks.baselines.external import EXTERNAL

__all__ = ["BASELINES", "NOISY", "Classical", "Method", "Noise", "Slicing"]

BASELINES: dict[str, Classical] = {method.name: method for method in (*CLASSICAL, *EXTERNAL)}
