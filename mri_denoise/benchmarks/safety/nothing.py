"""Noise in, nothing out: where there is no anatomy, none appears."""

from __future__ import annotations

import numpy as np

from mri_denoise.benchmarks.baselines import Method
from mri_denoise.benchmarks.repeats.scores import lag_one
from mri_denoise.benchmarks.safety.findings import Finding
from mri_denoise.benchmarks.safety.plan import Plan
from mri_denoise.benchmarks.safety.structures import find_structures, slow_power
from mri_denoise.noise.rician import rice_moments
from mri_denoise.noise.simulate import add_rician, smooth_field

PART = "noise alone"
WHITENESS = "correlation of what was removed with its neighbours, less the noise's own"
_SIGNAL = 20.0  # sigma: there, Rician noise is normal
_COVERAGE = 0.7  # of k-space along each axis of a slice
_RANGE = (0.7, 1.4)  # of a noise level that varies


def uniform(plan: Plan) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Uniform objects of 20 sigma with white, correlated and varying noise.

    Returns:
        by name the noisy volume, float32 (X, Y, Z), and its sigma: one number, or a map of the same shape.
    """
    clean = np.full(plan.shape, _SIGNAL * plan.sigma, dtype=np.float32)
    level = np.array(plan.sigma)
    local = level * smooth_field(plan.shape, plan.rng(2, 3), *_RANGE)
    # the correlation is one of the last two axes: slices lie along the first, and are moved to the last
    correlated = add_rician(np.moveaxis(clean, 2, 0), plan.sigma, plan.rng(2, 1), coverage=_COVERAGE)
    return {
        "white": (add_rician(clean, plan.sigma, plan.rng(2, 0)), level),
        "correlated": (np.ascontiguousarray(np.moveaxis(correlated, 0, 2)), level),
        "varying": (add_rician(clean, local, plan.rng(2, 2)), local),
    }


def alike(noise: np.ndarray) -> float:
    """Correlation with the next voxel, the mean over the axes; NaN where nothing varies."""
    return float(np.mean(lag_one(noise, np.ones(noise.shape, dtype=bool)))) if np.ptp(noise) > 0 else float("nan")


def truth(plan: Plan) -> np.ndarray:
    """What the slice of :func:`measure` would show without noise: shape (X, Y) with one object below the other."""
    return np.full((plan.shape[0], 3 * plan.shape[1]), _SIGNAL, dtype=np.float32)


def measure(method: Method, plan: Plan) -> tuple[list[Finding], np.ndarray]:
    """Denoise uniform objects and air with the mean sigma, and look for what stands out.

    Args:
        method: what is measured.
        plan: of the run.

    Returns:
        the findings, and the middle slices of the uniform objects in units of sigma, to look at.
    """
    found, shown = [], []
    for case, (noisy, level) in uniform(plan).items():
        mean = _SIGNAL * plan.sigma
        result = method(noisy, float(np.sqrt(np.mean(np.square(level)))))
        left, before = (image.astype(np.float64) - image.mean(dtype=np.float64) for image in (result, noisy))
        count, largest = find_structures((result - mean) / level)
        shown.append(result[..., plan.shape[2] // 2] / plan.sigma)
        values = {
            "noise left, of the input's": float(left.std() / before.std()),
            "slow noise left, of the input's": float(np.sqrt(slow_power(left) / slow_power(before))),
            WHITENESS: alike(noisy - result) - alike(noisy),
            "structures": float(count),
            "largest structure (voxels)": float(largest),
        }
        found += [Finding(part=PART, case=case, measure=name, value=value) for name, value in values.items()]
    air = add_rician(np.zeros(plan.shape, dtype=np.float32), plan.sigma, plan.rng(2, 4))
    rest = float(method(air, plan.sigma).mean(dtype=np.float64) / plan.sigma)
    whole = float(rice_moments(np.zeros(1))[0][0])
    found.append(Finding(part=PART, case="air", measure="signal left, of the input's", value=rest / whole))
    return found, np.concatenate(shown[::-1], axis=1).astype(np.float32)
