"""Real noise: repeated scans of one object, each of which is scored against the mean of the others.

No truth is needed. What a perfect denoiser removes has the spectrum of the noise, shows no anatomy, and is as large as
the noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import ndimage

from mri_denoise.errors import InputError
from mri_denoise.evaluation import metrics
from mri_denoise.evaluation.compare import check_grids
from mri_denoise.io import Case, read
from mri_denoise.median_level import median_level
from mri_denoise.volume import Volume

_FOREGROUND = 0.15  # of the 99.5th percentile of the mean
_WINDOW = 7  # voxels along each axis, in which the noise over time is measured


@dataclass(frozen=True, kw_only=True)
class RepeatScore:
    """The score of one volume of a series.

    Args:
        volume: its number, from 0.
        sigma: of its noise, in the unit of the image.
        psnr_noisy: dB against the mean of the other noisy volumes, over the object, higher is better; None for a single
            volume.
        psnr_denoised: the same for the denoised volume.
        psnr_signal_noisy: dB against the signal of the others, ``sqrt(mean(x^2) - 2 sigma^2)``, which has no Rician
            bias.
        psnr_signal_denoised: the same for the denoised volume.
        level_ratio: median, 5th and 95th percentile of the level at each voxel, divided by the noise over time
            (:func:`noise_over_time`); None for a single volume.
        residual_ratio: standard deviation of the residual (noisy minus denoised) divided by sigma: about 1 where the
            signal is well above the noise. More means that anatomy was removed, less that noise was left.
        residual_correlation: of the residual with its next neighbour along each axis; 0 for white noise.
    """

    volume: int
    sigma: float
    psnr_noisy: float | None
    psnr_denoised: float | None
    psnr_signal_noisy: float | None
    psnr_signal_denoised: float | None
    level_ratio: tuple[float, float, float] | None
    residual_ratio: float
    residual_correlation: tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class NoiseOfRepeats:
    """The noise as differences of successive volumes show it.

    Args:
        sigma: standard deviation of the differences over the object, divided by the root of 2.
        correlation: of the differences with their next neighbour along each axis. It is the correlation of the noise,
            and that of a perfect residual.
    """

    sigma: float
    correlation: tuple[float, float, float]


def load_repeats(cases: Sequence[Case], span: tuple[int, int] | None = None) -> Volume:
    """Read the volumes of all cases as one series.

    Args:
        cases: one series each, all on one grid.
        span: numbers of the first and of the last volume that are wanted, from 0; all by default.

    Raises:
        InputError: if one cannot be read, the grids differ or there is no such volume.
    """
    volumes = [read(case) for case in cases]
    first = volumes[0]
    for case, volume in zip(cases, volumes, strict=True):
        check_grids(case.label, volume, cases[0].label, first)
    array = np.nan_to_num(np.concatenate([v.array for v in volumes]), nan=0.0, posinf=0.0, neginf=0.0)
    if span is not None:
        if span[1] >= len(array):
            raise InputError(f"{cases[0].label}: has no volume {span[1]}, only 0 to {len(array) - 1}.")
        array = array[span[0] : span[1] + 1]
    contiguous = all(volume.contiguous for volume in volumes)
    return Volume(array=array, affine=first.affine, slice_axis=first.slice_axis, contiguous=contiguous)


def object_mask(series: np.ndarray) -> np.ndarray:
    """Find the object without air: where the mean of the series is above 15 % of its 99.5th percentile.

    Args:
        series: shape (T, X, Y, Z).

    Returns:
        boolean array of shape (X, Y, Z).
    """
    mean = series.mean(axis=0, dtype=np.float64)
    return mean > _FOREGROUND * np.percentile(mean, 99.5)


def lag_one(image: np.ndarray, mask: np.ndarray) -> tuple[float, float, float]:
    """Correlate voxels with their next neighbours along each axis: ``sum(a b) / sqrt(sum(a^2) sum(b^2))``.

    Args:
        image: shape (X, Y, Z); its mean over the mask is subtracted first.
        mask: boolean, same shape. A pair counts where both of its voxels are in the mask.

    Returns:
        the coefficients along the three axes, -1 to 1; NaN where there is no pair.
    """
    centred = image - image[mask].mean(dtype=np.float64)
    found = []
    for axis in range(3):
        a, b = (np.moveaxis(centred, axis, 0)[s] for s in (np.s_[:-1], np.s_[1:]))
        inside = np.moveaxis(mask, axis, 0)
        both = inside[:-1] & inside[1:]
        scale = float(np.sqrt(np.sum(np.square(a[both])) * np.sum(np.square(b[both]))))
        found.append(float(np.sum(a[both] * b[both])) / scale if scale > 0 else float("nan"))
    return found[0], found[1], found[2]


def noise_of_repeats(series: np.ndarray, mask: np.ndarray) -> NoiseOfRepeats | None:
    """Measure the noise in differences of successive volumes, which show no anatomy if nothing moved.

    Args:
        series: shape (T, X, Y, Z).
        mask: boolean, shape (X, Y, Z).

    Returns:
        the noise; None for a single volume.
    """
    if series.shape[0] < 2:
        return None
    differences = np.diff(series.astype(np.float64), axis=0)
    spread = np.sqrt(np.mean([np.var(d[mask]) for d in differences]) / 2)
    lags = np.mean([lag_one(d, mask) for d in differences], axis=0)
    return NoiseOfRepeats(sigma=float(spread), correlation=(float(lags[0]), float(lags[1]), float(lags[2])))


def noise_over_time(series: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Measure the noise at each voxel by the differences of successive volumes in a window around it.

    What drifts from volume to volume over more than the window is taken out. Where something moved, or its contrast
    changed, that counts as noise.

    Args:
        series: two volumes or more, shape (T, X, Y, Z).
        mask: boolean, shape (X, Y, Z).

    Returns:
        standard deviation of one volume, in the unit of the series, float64 (X, Y, Z); NaN outside of the mask, and
        where the window holds less than half of the object.
    """
    inside = ndimage.uniform_filter(mask.astype(np.float64), _WINDOW)
    power = np.zeros(mask.shape)
    for before, after in pairwise(series.astype(np.float64)):
        change = np.where(mask, after - before, 0)
        mean, square = (ndimage.uniform_filter(values, _WINDOW) for values in (change, change**2))
        with np.errstate(divide="ignore", invalid="ignore"):
            power += square / inside - (mean / inside) ** 2
    return np.where(mask & (inside > 0.5), np.sqrt(np.maximum(power, 0) / (2 * (len(series) - 1))), np.nan)


def compare_levels(sigma: np.ndarray | float, true: np.ndarray) -> tuple[float, float, float]:
    """Compare the level that was found in one volume with that of the repeats.

    Args:
        sigma: the level, a number or a map.
        true: of :func:`noise_over_time`.

    Returns:
        median, 5th and 95th percentile of their quotient over the object; NaN if nothing was measured.
    """
    measured = np.isfinite(true) & (true > 0)
    if not measured.any():
        return np.nan, np.nan, np.nan
    low, median, high = np.percentile((np.broadcast_to(sigma, true.shape)[measured] / true[measured]), [5, 50, 95])
    return float(median), float(low), float(high)


def score_repeats(
    noisy: np.ndarray, denoised: np.ndarray, sigmas: Sequence[np.ndarray | float], mask: np.ndarray, first: int = 0
) -> list[RepeatScore]:
    """Score each volume against the mean of the others.

    Args:
        noisy: shape (T, X, Y, Z).
        denoised: same shape; each volume was denoised by itself.
        sigmas: noise level of each volume, in the unit of the image: a number, or a map.
        mask: the object, boolean, shape (X, Y, Z).
        first: number of the first volume.

    Returns:
        one score a volume.
    """
    peak = float(noisy.mean(axis=0).max())
    levels = [median_level(sigma) for sigma in sigmas]
    over_time = noise_over_time(noisy, mask) if len(noisy) > 1 else None
    scores = []
    for t, (before, after) in enumerate(zip(noisy, denoised, strict=True)):
        others = [i for i in range(len(noisy)) if i != t]
        psnr: tuple[float | None, ...] = (None, None, None, None)
        if others:
            power = np.mean([np.square(noisy[i]) - 2 * levels[i] ** 2 for i in others], axis=0)
            truths = (noisy[others].mean(axis=0), np.sqrt(np.maximum(power, 0)))
            psnr = tuple(metrics.psnr(truth, image, mask, peak) for truth in truths for image in (before, after))
        residual = before.astype(np.float64) - after
        ratio = float(residual[mask].std()) / levels[t] if levels[t] > 0 else float("nan")
        scores.append(
            RepeatScore(
                volume=first + t,
                sigma=levels[t],
                psnr_noisy=psnr[0],
                psnr_denoised=psnr[1],
                psnr_signal_noisy=psnr[2],
                psnr_signal_denoised=psnr[3],
                level_ratio=None if over_time is None else compare_levels(sigmas[t], over_time),
                residual_ratio=ratio,
                residual_correlation=lag_one(residual, mask),
            )
        )
    return scores
