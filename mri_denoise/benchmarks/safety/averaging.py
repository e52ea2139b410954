"""The average over mirror images (``--tta``): what it gains, and whether its uncertainty tells where the error is."""

from __future__ import annotations

import numpy as np
from scipy import stats

from mri_denoise.benchmarks.baselines import Method
from mri_denoise.benchmarks.baselines.learned import Learned
from mri_denoise.benchmarks.safety.findings import Finding
from mri_denoise.benchmarks.safety.scene import Scene
from mri_denoise.evaluation import metrics
from mri_denoise.noise.simulate import add_rician
from mri_denoise.settings import Settings
from mri_denoise.volume import Volume

PART = "mirror images"
LEVELS = (3.0, 9.0)  # percent of the maximum
_PARTS = 10  # deciles of the uncertainty


def measure(method: Method, scene: Scene) -> list[Finding]:
    """Denoise one draw of each level once and by ``--tta``; the noise level is estimated, as for a user.

    Args:
        method: only one of ours, with its guard, is measured.
        scene: the true image.

    Returns:
        for each level the gain in PSNR over the inside of the scene in dB; Spearman's correlation of the uncertainty
        with the magnitude of the error there; and the root mean square error of the tenth of the voxels with the
        largest uncertainty, by that of the tenth with the smallest.
    """
    if not isinstance(method, Learned) or not method.guard:
        return []
    found, peak = [], float(scene.truth.max())
    for number, level in enumerate(LEVELS):
        noisy = add_rician(scene.truth, level / 100 * peak, scene.plan.rng(5, number))
        volume = Volume(array=noisy[None], affine=scene.affine, slice_axis=scene.slice_axis)
        once, average = (
            method.model.finish(method.model.measure(volume, Settings(quality=method.slicing.quality, tta=tta)))
            for tta in (False, True)
        )
        assert average.uncertainty is not None
        scores = [metrics.psnr(scene.truth, one.volume.array[0], scene.inside, peak) for one in (once, average)]
        error = np.abs(average.volume.array[0] - scene.truth)[scene.inside]
        values = {
            "PSNR gained (dB)": scores[1] - scores[0],
            "rank correlation of uncertainty and error": ranked(average.uncertainty[0][scene.inside], error),
            "error where least certain, of most": contrast_of_deciles(average.uncertainty[0][scene.inside], error),
        }
        part = f"{PART}, {scene.label}" if scene.label else PART
        found += [Finding(part=part, case=f"sigma {level:g} %", measure=k, value=v) for k, v in values.items()]
    return found


def ranked(uncertainty: np.ndarray, error: np.ndarray) -> float:
    """Spearman's rank correlation; 0 where one of the two is constant.

    Examples:
        >>> ranked(np.array([1.0, 2.0, 3.0]), np.array([1.0, 4.0, 9.0]))
        1.0
    """
    if np.ptp(uncertainty) == 0 or np.ptp(error) == 0:
        return 0.0
    return float(stats.spearmanr(uncertainty, error).statistic)


def contrast_of_deciles(uncertainty: np.ndarray, error: np.ndarray) -> float:
    """Root mean square error where the uncertainty is in its highest tenth, by that in its lowest.

    Examples:
        >>> contrast_of_deciles(np.arange(100.0), np.where(np.arange(100) < 50, 1.0, 2.0))
        2.0
    """
    order = np.argsort(uncertainty, kind="stable")
    count = max(len(order) // _PARTS, 1)
    low, high = (float(np.sqrt(np.mean(np.square(error[part])))) for part in (order[:count], order[-count:]))
    return high / low if low > 0 else float("nan")
