"""Tissue: volumes by a simple segmentation, contrast, sharpness, and how well they repeat from scan to scan."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mri_denoise.benchmarks.safety.findings import Finding, mean_of
from mri_denoise.benchmarks.safety.plan import Head
from mri_denoise.benchmarks.safety.scene import Scene
from mri_denoise.evaluation import metrics

PART = "tissue"
REPEATS = "repeatability"
_CLASSES = ("fluid", "grey", "white")  # in the order of their signals in T1-weighted images
_REAL_CLASSES = ("darkest", "middle", "brightest")  # whatever the contrast of a real volume is
_NEAR = 0.25  # of the distance to the next mean: voxels of a class in a real volume
_PURE = 0.9  # least share of a tissue in a voxel that counts for its mean
_BINS = 512
_STEPS = 100


def mixture(values: np.ndarray, classes: int = len(_CLASSES), steps: int = _STEPS) -> tuple[np.ndarray, np.ndarray]:
    """Fit a mixture of normal distributions by expectation and maximisation, on a histogram.

    It begins at quantiles of the values, so that the same values give the same fit.

    Args:
        values: intensities, any shape.
        classes: how many there are.
        steps: number of iterations.

    Returns:
        means in rising order, and the share of the values that belongs to each class, both of shape (classes,).

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> means, shares = mixture(np.concatenate([rng.normal(0, 1, 1000), rng.normal(9, 1, 3000)]), classes=2)
        >>> means.round(), shares.round(2)
        (array([0., 9.]), array([0.25, 0.75]))
    """
    counts, edges = np.histogram(values, bins=_BINS)
    x, weight = (edges[:-1] + edges[1:]) / 2, counts / counts.sum()
    means = np.quantile(values, (np.arange(classes) + 0.5) / classes)
    least = (x[1] - x[0]) ** 2
    variances = np.full(classes, max(float(np.var(values)) / classes**2, least))
    shares = np.full(classes, 1 / classes)
    for _ in range(steps):
        exponent = -np.square(x - means[:, None]) / (2 * variances[:, None])
        density = shares[:, None] * np.exp(exponent) / np.sqrt(variances[:, None])
        belongs = weight * density / np.maximum(density.sum(axis=0), np.finfo(float).tiny)
        shares = np.maximum(belongs.sum(axis=1), np.finfo(float).tiny)
        means = belongs @ x / shares
        spread = np.square(x - means[:, None])
        variances = np.maximum((belongs * spread).sum(axis=1) / shares, least)
    order = np.argsort(means)
    return means[order], shares[order]


def contrast(image: np.ndarray, head: Head) -> float:
    """Mean of white minus mean of grey matter, over voxels that hold hardly anything else."""
    means = _means(image, head)
    return means["white"] - means["grey"]


def limits_of_agreement(differences: Sequence[float]) -> tuple[float, float]:
    """Mean less and plus 1.96 standard deviations (Bland and Altman, https://doi.org/10.1016/S0140-6736(86)90837-8)."""
    half = 1.96 * float(np.std(differences, ddof=1))
    return float(np.mean(differences)) - half, float(np.mean(differences)) + half


def variation(values: Sequence[float]) -> float:
    """Coefficient of variation in percent: standard deviation by mean.

    Examples:
        >>> round(variation([99.0, 101.0]), 3)
        1.414
    """
    return 100 * float(np.std(values, ddof=1) / np.mean(values))


def measure(head: Head, results: Sequence[np.ndarray]) -> list[Finding]:
    """Compare each draw with the head without noise, and the draws with each other.

    Args:
        head: the phantom.
        results: one a draw, at least 2.
    """
    found = _volumes(head.truth[head.brain], [image[head.brain] for image in results], _CLASSES)
    clean = contrast(head.truth, head)
    shifts = np.array([100 * (contrast(image, head) / clean - 1) for image in results])
    found.append(mean_of(PART, "white minus grey", "shift of contrast (%)", shifts))
    errors = [metrics.hfen(head.truth, image, head.brain) for image in results]
    found.append(mean_of(PART, "brain", "error of edges (HFEN)", errors))
    for name in ("grey", "white"):
        repeat = variation([_means(image, head)[name] for image in results])
        found.append(Finding(part=REPEATS, case=name, measure="variation of mean signal (%)", value=repeat))
    return found


def measure_real(scene: Scene, results: Sequence[np.ndarray]) -> list[Finding]:
    """Compare each draw with a real volume that counts as the truth, and the draws with each other.

    The classes are those of the intensities, whatever tissue they are: a volume should hold a brain and no skull.

    Args:
        scene: the volume.
        results: one a draw, at least 2.
    """
    truth = scene.truth[scene.inside]
    inside = [image[scene.inside] for image in results]
    found = _volumes(truth, inside, _REAL_CLASSES, scene.label)
    means, _ = mixture(truth)
    gap = float(means[2] - means[1])
    # where the truth is near to the mean of a class; its own noise is as often above as below
    own = [np.abs(truth - mean) <= _NEAR * gap for mean in means[1:]]
    levels = np.array([[values[where].mean(dtype=np.float64) for where in own] for values in [truth, *inside]])
    contrasts = levels[:, 1] - levels[:, 0]
    shifts = 100 * (contrasts[1:] / contrasts[0] - 1)
    name = f"{_REAL_CLASSES[2]} minus {_REAL_CLASSES[1]}"
    found.append(mean_of(_part(PART, scene.label), name, "shift of contrast (%)", shifts))
    for number, name in enumerate(_REAL_CLASSES[1:]):
        repeat = variation(levels[1:, number].tolist())
        part = _part(REPEATS, scene.label)
        found.append(Finding(part=part, case=name, measure="variation of mean signal (%)", value=repeat))
    return found


def _volumes(
    truth: np.ndarray, results: Sequence[np.ndarray], classes: Sequence[str], label: str = ""
) -> list[Finding]:
    """Shift of the share of each class, limits of agreement, and variation from draw to draw."""
    _, wanted = mixture(truth)
    shares = np.array([mixture(values)[1] for values in results])
    part, found = _part(PART, label), []
    for number, name in enumerate(classes):
        shifts = 100 * (shares[:, number] / wanted[number] - 1)
        found.append(mean_of(part, name, "shift of volume (%)", shifts))
        low, high = limits_of_agreement(shifts.tolist())
        found.append(Finding(part=part, case=name, measure="95 % of volumes from (%)", value=low))
        found.append(Finding(part=part, case=name, measure="95 % of volumes to (%)", value=high))
        repeat = variation(shares[:, number].tolist())
        found.append(Finding(part=_part(REPEATS, label), case=name, measure="variation of volume (%)", value=repeat))
    return found


def _part(name: str, label: str) -> str:
    return f"{name}, {label}" if label else name


def _means(image: np.ndarray, head: Head) -> dict[str, float]:
    found = {}
    for name in ("grey", "white"):
        share = head.tissues[name]
        pure = share >= min(_PURE, float(np.quantile(share[share > 0], 0.9)))  # thick voxels are hardly ever pure
        found[name] = float(image[pure].mean(dtype=np.float64))
    return found
