"""Symmetry: a mirrored, turned, scaled or shifted image gives the mirrored, turned, scaled or shifted result."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from mri_denoise.benchmarks.baselines import Method
from mri_denoise.benchmarks.safety.findings import Finding
from mri_denoise.benchmarks.safety.plan import Head, Plan

PART = "symmetry"
_BORDER = 8  # voxels that a shift by one voxel moves across the border's reach
Change = Callable[[np.ndarray], np.ndarray]


def _scaled(factor: float) -> tuple[Change, Change, float]:
    return lambda image: image * np.float32(factor), lambda image: image / np.float32(factor), factor


# what is done to the image, what takes it back, and what it does to sigma
CHANGES: Mapping[str, tuple[Change, Change, float]] = {
    "mirrored left to right": (lambda image: image[::-1], lambda image: image[::-1], 1.0),
    "mirrored front to back": (lambda image: image[:, ::-1], lambda image: image[:, ::-1], 1.0),
    "slices reversed": (lambda image: image[..., ::-1], lambda image: image[..., ::-1], 1.0),
    "quarter turn": (lambda image: np.rot90(image), lambda image: np.rot90(image, -1), 1.0),
    "times 0.001": _scaled(1e-3),
    "times 1000000": _scaled(1e6),
}


def differences(first: np.ndarray, second: np.ndarray, sigma: float) -> tuple[float, float]:
    """Root of the mean square and largest difference of two results in units of sigma.

    Examples:
        >>> differences(np.array([0.0, 0.0]), np.array([0.0, 2.0]), 2.0)[1]
        1.0
    """
    apart = np.abs(first.astype(np.float64) - second) / sigma
    return float(np.sqrt(np.mean(np.square(apart)))), float(apart.max())


def measure(method: Method, head: Head, plan: Plan) -> list[Finding]:
    """Denoise one noisy head, and the same one changed in each way."""
    noisy = head.noisy(head.truth, plan, 0)
    result = method(noisy, plan.sigma)
    found = []
    for name, (change, back, factor) in CHANGES.items():
        other = back(method(np.ascontiguousarray(change(noisy)), plan.sigma * factor))
        found += _findings(name, differences(result, other, plan.sigma))
    inner = tuple(slice(_BORDER, n - _BORDER) for n in plan.shape)
    shifted = np.empty_like(result)
    shifted[1:] = method(np.ascontiguousarray(noisy[1:]), plan.sigma)
    return found + _findings("shifted by one voxel", differences(result[inner], shifted[inner], plan.sigma))


def _findings(case: str, values: tuple[float, float]) -> list[Finding]:
    names = ("root mean square change (sigma)", "largest change (sigma)")
    return [Finding(part=PART, case=case, measure=n, value=v) for n, v in zip(names, values, strict=True)]
