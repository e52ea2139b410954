"""The paper's Tables 2, 3 and 4 from scores, with the figures of the paper in columns beside them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from mri_denoise.benchmarks.baselines import NOISY, Method
from mri_denoise.benchmarks.paper.ablation import Variant
from mri_denoise.benchmarks.paper.published import PAPER_TABLE_2, PAPER_TABLE_3, PAPER_TABLE_4
from mri_denoise.benchmarks.paper.rows import ALL, Gain, MethodRow, PairedRow, VariantRow
from mri_denoise.benchmarks.paper.scores import ImageScore
from mri_denoise.benchmarks.scores import levels_of, select
from mri_denoise.evaluation.statistics import Summary, compare_paired, summarise

DIGITS = {"psnr": 2, "ssim": 4}  # decimals of each measure in the report


def table_2(scores: Sequence[ImageScore], methods: Sequence[Method]) -> list[MethodRow]:
    """Compare methods side by side.

    Args:
        scores: on one set of images.
        methods: the rows, in this order.

    Returns:
        one row for each method and density, and one for each method over all densities.
    """
    rows = []
    for method in methods:
        mine = select(scores, method=method.name)
        for level in (*levels_of(mine), None):
            part = select(mine, method=method.name, level=level)
            psnr, ssim = (summarise([getattr(score, measure) for score in part]) for measure in DIGITS)
            paper = PAPER_TABLE_2.get(method.name) if level is None else None
            paper_psnr, paper_ssim, paper_milliseconds = paper or (None, None, None)
            rows.append(
                MethodRow(
                    method=method.name,
                    label=method.label,
                    density=_density(level),
                    images=len(part),
                    psnr=psnr.mean,
                    psnr_sd=_sd(psnr),
                    ssim=ssim.mean,
                    ssim_sd=_sd(ssim),
                    milliseconds=float(np.mean([1000 * score.seconds for score in part])),
                    paper_psnr=paper_psnr,
                    paper_ssim=paper_ssim,
                    paper_milliseconds=paper_milliseconds,
                )
            )
    return rows


def losses(rows: Sequence[MethodRow], ours: str) -> list[str]:
    """List where our method is not ahead, one line for each rival, density and measure. The noisy image is no rival.

    Args:
        rows: of :func:`table_2`.
        ours: name of our method.
    """
    mine = {row.density: row for row in rows if row.method == ours}
    found = []
    for row in rows:
        if row.method in (ours, NOISY.name) or row.density not in mine:
            continue
        for measure, digits in DIGITS.items():
            here, there = getattr(mine[row.density], measure), getattr(row, measure)
            if here <= there:
                where = row.density if row.density == ALL else f"{row.density} %"
                figures = f"{there:.{digits}f} against {here:.{digits}f}"
                found.append(f"{row.label}, {where}, {measure.upper()}: {figures}")
    return found


def table_3(scores: Sequence[ImageScore], method: str) -> list[PairedRow]:
    """Compare noisy with denoised images, paired.

    Args:
        scores: of the noisy images and of the method, on one set of images.
        method: name of the method.

    Returns:
        one row for each measure, density (and the mean over densities) and unit (slice, subject).
    """
    rows = []
    for measure in DIGITS:
        for level in (*levels_of(scores), None):
            for unit in ("slice", "subject"):
                before, after = (_by_unit(scores, name, measure, level, unit) for name in (NOISY.name, method))
                if len(before) < 2:
                    continue
                pairs = np.array([[before[name], after[name]] for name in before])
                quoted = level is None and unit == "slice"
                rows.append(_paired(measure, _density(level), unit, pairs, PAPER_TABLE_3[measure] if quoted else None))
    return rows


def table_4(scores: Sequence[ImageScore], variants: Sequence[Variant], seeds: Sequence[int]) -> list[VariantRow]:
    """Compare the networks of the ablation.

    Args:
        scores: on one set of images; the names of the methods are those of the variants and ``_seed`` with the seed.
        variants: the rows, in this order.
        seeds: of the trainings.

    Returns:
        one row for each variant and density, and one for each variant over all densities.
    """
    rows = []
    for variant in variants:
        names = [f"{variant.name}_seed{seed}" for seed in seeds]
        for level in (*levels_of(scores), None):
            runs = [select(scores, method=name, level=level) for name in names]
            psnr, ssim = (
                summarise([float(np.mean([getattr(score, measure) for score in run])) for run in runs])
                for measure in DIGITS
            )
            paper_psnr, paper_ssim = (PAPER_TABLE_4.get(variant.name) if level is None else None) or (None, None)
            rows.append(
                VariantRow(
                    variant=variant.name,
                    label=variant.label,
                    density=_density(level),
                    seeds=len(names),
                    psnr=psnr.mean,
                    psnr_sd=_sd(psnr),
                    ssim=ssim.mean,
                    ssim_sd=_sd(ssim),
                    paper_psnr=paper_psnr,
                    paper_ssim=paper_ssim,
                )
            )
    return rows


def _density(level: float | None) -> str:
    return ALL if level is None else f"{level:g}"


def _sd(summary: Summary) -> float | None:
    return summary.sd if summary.count > 1 else None


def _paired(measure: str, density: str, unit: str, pairs: np.ndarray, paper: Gain | None) -> PairedRow:
    """A row of Table 3 from values before and after, shape (n, 2)."""
    before, after = pairs[:, 0], pairs[:, 1]
    noisy, denoised, paired = summarise(before), summarise(after), compare_paired(after, before)
    found = Gain(
        noisy_mean=noisy.mean,
        noisy_sd=noisy.sd,
        denoised_mean=denoised.mean,
        denoised_sd=denoised.sd,
        gain=paired.mean,
        t=paired.t,
        ci_low=paired.low,
        ci_high=paired.high,
    )
    return PairedRow(
        measure=measure,
        density=density,
        unit=unit,
        n=len(pairs),
        found=found,
        p=paired.p,
        wilcoxon=paired.wilcoxon,
        wilcoxon_p=paired.wilcoxon_p,
        effect_size=paired.cohen_d,
        paper=paper,
    )


def _by_unit(
    scores: Sequence[ImageScore], method: str, measure: str, level: float | None, unit: str
) -> dict[str, float]:
    """One value for each slice or subject: the mean of its scores."""
    values: dict[str, list[float]] = defaultdict(list)
    for score in select(scores, method=method, level=level):
        values[score.image if unit == "slice" else score.subject].append(getattr(score, measure))
    return {name: float(np.mean(found)) for name, found in values.items()}
