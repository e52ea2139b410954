"""The paper's Tables 2, 3 and 4 from scores, with the paper's own figures in columns beside them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from mri_denoise.benchmarks.baselines import Denoiser
from mri_denoise.benchmarks.paper.ablation import Variant
from mri_denoise.benchmarks.paper.scores import NOISY, Score
from mri_denoise.evaluation.statistics import compare_paired, summarise

ALL = "mean"
MEASURES = ("psnr", "ssim")
# PSNR in dB, SSIM, milliseconds
PAPER_TABLE_2: dict[str, tuple[float, float, float]] = {
    "bm3d": (31.9, 0.9862, 210.0),
    "dncnn": (31.5, 0.8826, 45.0),
    "dncnn_alike": (31.5, 0.8826, 45.0),
    "hmad": (32.27, 0.9598, 38.0),
}
PAPER_ELSEWHERE = (
    "FFA-DMRI 30.55-39.76 dB / 0.9586-0.9946, FONDUE 33.5 / 0.928 / ~50 ms, BT-AutoNet 34.1 / 0.93 / ~55 ms"
)
PAPER_TABLE_3: dict[str, dict[str, float]] = {
    "psnr": {
        "noisy_mean": 23.71, "noisy_sd": 2.69, "denoised_mean": 29.15, "denoised_sd": 1.15,
        "gain": 5.44, "t": 68.3083, "ci_low": 5.2816, "ci_high": 5.5940,
    },
    "ssim": {
        "noisy_mean": 0.6326, "noisy_sd": 0.1319, "denoised_mean": 0.8036, "denoised_sd": 0.0321,
        "gain": 0.1710, "t": 47.8367, "ci_low": 0.1640, "ci_high": 0.1780,
    },
}  # fmt: skip
PAPER_TABLE_4: dict[str, tuple[float, float]] = {
    "unet": (30.45, 0.8921),
    "residual": (31.12, 0.9027),
    "attention": (31.56, 0.9089),
    "attention_residual": (32.27, 0.9598),
}


def table_2(scores: Sequence[Score], methods: Sequence[Denoiser]) -> list[dict[str, Any]]:
    """Methods side by side.

    Args:
        scores: of one set of images.
        methods: the rows, in this order.

    Returns:
        one row a method and density, and one with the density ``"mean"`` over all of them: mean and standard deviation
        of PSNR (dB) and SSIM over the images, milliseconds an image, number of images, and the paper's figures beside
        the mean (None where it has none).
    """
    rows = []
    for method in methods:
        mine = [s for s in scores if s.method == method.name]
        for density in [*sorted({s.density for s in mine}), None]:
            part = mine if density is None else [s for s in mine if s.density == density]
            paper = PAPER_TABLE_2.get(method.name) if density is None else None
            row: dict[str, Any] = {
                "method": method.name, "label": method.label, "density": _percent(density), "images": len(part)
            }  # fmt: skip
            for measure in MEASURES:
                row |= _mean_sd(measure, [getattr(s, measure) for s in part])
            row["milliseconds"] = float(np.mean([s.milliseconds for s in part]))
            row |= dict(zip(("paper_psnr", "paper_ssim", "paper_milliseconds"), paper or (None,) * 3, strict=True))
            rows.append(row)
    return rows


def losses(rows: Sequence[dict[str, Any]], ours: str) -> list[str]:
    """Where our method is not ahead: one line a rival, density and measure; the noisy image is no rival.

    Args:
        rows: of :func:`table_2`.
        ours: name of the method.
    """
    mine = {row["density"]: row for row in rows if row["method"] == ours}
    found = []
    for row in rows:
        if row["method"] in (ours, NOISY) or row["density"] not in mine:
            continue
        for measure, digits in (("psnr", 2), ("ssim", 4)):
            here, there = mine[row["density"]][measure], row[measure]
            if here <= there:
                where = row["density"] if row["density"] == ALL else f"{row['density']} %"
                figures = f"{there:.{digits}f} against {here:.{digits}f}"
                found.append(f"{row['label']}, {where}, {measure.upper()}: {figures}")
    return found


def table_3(scores: Sequence[Score], method: str) -> list[dict[str, Any]]:
    """Noisy against denoised, paired.

    Args:
        scores: of the noisy images and of the method, on one set of images.
        method: name of the method.

    Returns:
        one row a measure, density and unit. ``"mean"`` averages each image over its densities. The unit is the slice,
        as in the paper, and, because slices of one head are not independent of each other, the subject (mean of its
        slices). Columns: mean, standard deviation, gain, paired t, p, 95 % confidence interval of the gain, the smaller
        rank sum and p of Wilcoxon's signed-rank test, effect size (Cohen's d of the differences), and the paper's (None
        but for "mean").
    """
    rows = []
    for measure in MEASURES:
        for density in [*sorted({s.density for s in scores}), None]:
            for unit in ("slice", "subject"):
                before = _by_unit(scores, NOISY, measure, density, unit)
                after = _by_unit(scores, method, measure, density, unit)
                if len(before) < 2:
                    continue
                pairs = np.array([[before[name], after[name]] for name in before])
                quoted = density is None and unit == "slice"
                paper = PAPER_TABLE_3[measure] if quoted else dict.fromkeys(PAPER_TABLE_3[measure])
                rows.append(
                    {"measure": measure, "density": _percent(density), "unit": unit, "n": len(pairs)}
                    | _test(pairs[:, 0], pairs[:, 1])
                    | {f"paper_{name}": value for name, value in paper.items()}
                )
    return rows


def table_4(scores: Sequence[Score], variants: Sequence[Variant], seeds: Sequence[int]) -> list[dict[str, Any]]:
    """The ablation.

    Args:
        scores: on one set of images; the methods' names are the variant's and ``_seed`` with the seed.
        variants: the rows, in this order.
        seeds: of the runs.

    Returns:
        one row a variant and density (``"mean"``: over all): mean over the seeds of the mean PSNR (dB) and SSIM over
        the images, standard deviation over the seeds (None with one seed), number of seeds, the paper's figures (None
        but for "mean").
    """
    rows = []
    for variant in variants:
        names = [f"{variant.name}_seed{seed}" for seed in seeds]
        for density in [*sorted({s.density for s in scores}), None]:
            row: dict[str, Any] = {"variant": variant.name, "label": variant.label, "density": _percent(density)}
            row["seeds"] = len(names)
            for measure in MEASURES:
                runs = [
                    float(np.mean([getattr(s, measure) for s in scores if s.method == name and _at(s, density)]))
                    for name in names
                ]
                row |= _mean_sd(measure, runs)
            paper = PAPER_TABLE_4.get(variant.name) if density is None else None
            row |= dict(zip(("paper_psnr", "paper_ssim"), paper or (None,) * 2, strict=True))
            rows.append(row)
    return rows


def _at(score: Score, density: float | None) -> bool:
    return density is None or score.density == density


def _percent(density: float | None) -> str:
    return ALL if density is None else f"{100 * density:g}"


def _mean_sd(name: str, values: Sequence[float]) -> dict[str, float | None]:
    summary = summarise(values)
    return {name: summary.mean, f"{name}_sd": summary.sd if summary.count > 1 else None}


def _test(before: np.ndarray, after: np.ndarray) -> dict[str, float]:
    """The columns of Table 3."""
    noisy, denoised, paired = summarise(before), summarise(after), compare_paired(after, before)
    return {
        "noisy_mean": noisy.mean, "noisy_sd": noisy.sd, "denoised_mean": denoised.mean, "denoised_sd": denoised.sd,
        "gain": paired.mean, "t": paired.t, "p": paired.p, "ci_low": paired.low, "ci_high": paired.high,
        "wilcoxon": paired.wilcoxon, "wilcoxon_p": paired.wilcoxon_p, "effect_size": paired.cohen_d,
    }  # fmt: skip


def _by_unit(scores: Sequence[Score], method: str, measure: str, density: float | None, unit: str) -> dict[str, float]:
    """One value a slice or subject: the mean of its scores."""
    values: dict[str, list[float]] = defaultdict(list)
    for score in scores:
        if score.method == method and _at(score, density):
            values[score.image if unit == "slice" else score.subject].append(getattr(score, measure))
    return {name: float(np.mean(found)) for name, found in values.items()}
