"""Clean stays clean: what has little or no noise is left as it is."""

from __future__ import annotations

import numpy as np

from mri_denoise.benchmarks.baselines import Method
from mri_denoise.benchmarks.safety.findings import Finding
from mri_denoise.benchmarks.safety.plan import PEAK, Head, Plan
from mri_denoise.evaluation import metrics
from mri_denoise.noise.simulate import add_rician

PART = "clean"
_LEVELS = (0.0, 0.5, 1.0)  # percent
_BEST = 80.0  # dB: a root mean square error of 0.01 % of the maximum


def psnr_lost(truth: np.ndarray, noisy: np.ndarray, result: np.ndarray, mask: np.ndarray, peak: float) -> float:
    """How much lower the PSNR of the result is than that of its input; both count to 80 dB.

    Args:
        truth: without noise, any shape.
        noisy: the input, same shape and unit.
        result: the denoised input, same shape and unit.
        mask: voxels that count.
        peak: of the PSNR.

    Returns:
        dB; negative for a gain.

    Examples:
        >>> truth, mask = np.array([0.0, 100.0]), np.array([True, True])
        >>> psnr_lost(truth, truth + 1, truth + 10, mask, 100.0)
        20.0
    """
    before, after = (min(metrics.psnr(truth, image, mask, peak), _BEST) for image in (noisy, result))
    return before - after


def odd_volumes(plan: Plan) -> dict[str, np.ndarray]:
    """Volumes without noise that must come back bit for bit: a constant, zeros, a single bright voxel."""
    shape = tuple(min(n, 32) for n in plan.shape)
    single = np.zeros(shape, dtype=np.float32)
    single[tuple(n // 2 for n in shape)] = PEAK
    return {
        "constant": np.full(shape, PEAK / 2, dtype=np.float32),
        "empty": np.zeros(shape, dtype=np.float32),
        "single voxel": single,
    }


def measure(method: Method, head: Head, plan: Plan) -> list[Finding]:
    """Denoise heads of hardly any noise, and volumes without; the noise level is estimated, as for a user."""
    mask = metrics.head_mask(head.truth)
    found = []
    for number, level in enumerate(_LEVELS):
        noisy = add_rician(head.truth, level / 100 * PEAK, plan.rng(1, number))
        lost = psnr_lost(head.truth, noisy, method(noisy), mask, PEAK)
        found.append(Finding(part=PART, case=f"sigma {level:g} %", measure="PSNR lost (dB)", value=lost))
    for name, volume in odd_volumes(plan).items():
        changed = float(np.count_nonzero(method(volume) != volume))
        found.append(Finding(part=PART, case=name, measure="changed voxels", value=changed))
    return found
