"""Scores of ``benchmark accuracy`` as CSV and as Markdown tables, which show where ours loses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from mri_denoise.benchmarks.accuracy.run import BIAS_BINS, Failure, VolumeScore
from mri_denoise.benchmarks.baselines import NOISY, Method
from mri_denoise.benchmarks.scores import levels_of, select
from mri_denoise.evaluation.statistics import compare_paired, summarise
from mri_denoise.report import text

ALL = "all references"


@dataclass(frozen=True, kw_only=True)
class Table:
    """Scores with the methods that they belong to.

    Args:
        scores: of all methods.
        methods: in the order of the rows.
    """

    scores: Sequence[VolumeScore]
    methods: Sequence[Method]

    @cached_property
    def levels(self) -> list[float]:
        """Noise levels in percent, in rising order."""
        return levels_of(self.scores)

    @cached_property
    def references(self) -> list[str]:
        """Labels of the references, in the order of the scores."""
        return list(dict.fromkeys(score.image for score in self.scores))

    @cached_property
    def contrasts(self) -> dict[str, list[str]]:
        """The references of each contrast, and all of them where there are several contrasts."""
        groups: dict[str, list[str]] = {}
        for score in self.scores:
            names = groups.setdefault(score.contrast, [])
            if score.image not in names:
                names.append(score.image)
        return groups if len(groups) == 1 else groups | {ALL: self.references}

    @cached_property
    def _by_key(self) -> dict[tuple[str, float, str], VolumeScore]:
        return {(score.image, score.level, score.method): score for score in self.scores}

    def values(self, measure: str, method: str, level: float, references: Iterable[str]) -> list[float]:
        """One measure of a method at a level, for those references where it succeeded."""
        found = (self._by_key.get((reference, level, method)) for reference in references)
        return [float(getattr(score, measure)) for score in found if score is not None]

    def mean(self, measure: str, method: str, level: float, references: Sequence[str]) -> float | None:
        """Its mean; None where the method failed on a reference, so that all means are over the same references."""
        values = self.values(measure, method, level, references)
        return float(np.mean(values)) if values and len(values) == len(references) else None

    def pairs(self, measure: str, first: str, second: str, level: float) -> list[tuple[float, float]]:
        """One measure of two methods on the references where both succeeded and are not perfect."""
        both = [
            (self.values(measure, first, level, [name]), self.values(measure, second, level, [name]))
            for name in self.references
        ]
        return [(a[0], b[0]) for a, b in both if a and b and np.isfinite(a[0]) and np.isfinite(b[0])]

    @cached_property
    def rivals(self) -> list[str]:
        """Names of all methods that are not ours. The noisy image is one: doing nothing must not be better."""
        return [method.name for method in self.methods if not method.ours]

    @cached_property
    def main(self) -> Method | None:
        """The first of ours: the default quality, true sigma."""
        return next((method for method in self.methods if method.ours), None)

    def best_rival(self, measure: str, level: float, references: Sequence[str]) -> tuple[str, float] | None:
        """Name and mean of the rival with the highest mean."""
        means = [(name, self.mean(measure, name, level, references)) for name in self.rivals]
        known = [(name, value) for name, value in means if value is not None]
        return max(known, key=lambda item: item[1]) if known else None


def write_csv(table: Table, folder: Path) -> list[Path]:
    """Write ``results.csv``, one row a result, and ``bias.csv``, one row for each bin of intensity that is not empty.

    Raises:
        OutputError: if they cannot be written.
    """
    rows = [result_row(score) for score in table.scores]
    bins = [
        {
            "reference": score.image, "level": score.level, "method": score.method,
            "from_percent": 100 * number / BIAS_BINS, "to_percent": 100 * (number + 1) / BIAS_BINS,
            "mean_error_percent": error, "voxels": count,
        }
        for score in table.scores
        for number, (error, count) in enumerate(score.bias)
        if error is not None
    ]  # fmt: skip
    return [text.write_csv(rows, folder / "results.csv"), text.write_csv(bins, folder / "bias.csv")]


def result_row(score: VolumeScore) -> dict[str, str | float | int]:
    """A score as a row of ``results.csv``."""
    row: dict[str, str | float | int] = {"reference": score.image}
    columns = ("contrast", "level", "method", "label", "psnr", "ssim", "hfen", "seconds", "voxels")
    return row | {name: getattr(score, name) for name in columns}


def markdown(table: Table, absent: Mapping[str, str], failures: Sequence[Failure], facts: Sequence[str] = ()) -> str:
    """Format all tables: means by contrast, where ours loses, times, statistics, each reference, and what is missing.

    Args:
        table: the scores.
        absent: what to do to get the methods that are not installed, by label.
        failures: what failed.
        facts: paragraphs that say how the scores were made.
    """
    parts = ["# Accuracy", *facts]
    for contrast, references in table.contrasts.items():
        count = f"{len(references)} reference{'s' if len(references) > 1 else ''}"
        parts += [f"## Mean, {contrast} ({count})", _scores(table, references)]
    parts += ["## Where ours loses", _losses(table), "## Time", _time(table)]
    if len(table.references) > 1:
        parts += ["## Ours against each rival, all references", _statistics(table)]
        parts += [f"## {name}\n\n{_scores(table, [name])}" for name in table.references]
    parts += ["## Methods", _methods(table)]
    if absent:
        parts += ["## Absent", text.bullets(f"{label}: {hint}" for label, hint in absent.items())]
    if failures:
        where = [f.reference if f.level is None else f"{f.reference}, {f.level:g} %, {f.method}" for f in failures]
        lines = (f"{what}: {f.reason}" for what, f in zip(where, failures, strict=True))
        parts += ["## Failed", text.bullets(lines)]
    return "\n\n".join(parts) + "\n"


def _scores(table: Table, references: Sequence[str]) -> str:
    """PSNR / SSIM, the best of a column in bold; beside ours what its PSNR lacks to that of the best rival."""
    rows = []
    for method in table.methods:
        cells = [method.label]
        for level in table.levels:
            psnr, ssim = (table.mean(m, method.name, level, references) for m in ("psnr", "ssim"))
            cells.append("-" if psnr is None or ssim is None else _cell(table, method, level, references, psnr, ssim))
        rows.append(cells)
    return text.markdown_table(["PSNR (dB) / SSIM", *(f"{level:g} %" for level in table.levels)], rows)


def _cell(table: Table, method: Method, level: float, references: Sequence[str], psnr: float, ssim: float) -> str:
    means = {m: [table.mean(m, other.name, level, references) for other in table.methods] for m in ("psnr", "ssim")}
    best = {m: max(v for v in values if v is not None) for m, values in means.items()}
    words = [f"**{psnr:.2f}**" if psnr == best["psnr"] else f"{psnr:.2f}"]
    words.append(f"**{ssim:.3f}**" if ssim == best["ssim"] else f"{ssim:.3f}")
    rival = table.best_rival("psnr", level, references)
    short = f" (loses {rival[1] - psnr:.2f})" if method.ours and rival and rival[1] > psnr else ""
    return " / ".join(words) + short


def _losses(table: Table) -> str:
    """Single volumes and levels at which a rival is ahead of our first method by PSNR or SSIM."""
    if table.main is None:
        return "None of ours was run."
    rows = []
    for reference in table.references:
        for level in table.levels:
            for measure, form in (("psnr", "{:.2f} dB"), ("ssim", "{:.4f}")):
                own = table.mean(measure, table.main.name, level, [reference])
                rival = table.best_rival(measure, level, [reference])
                if own is not None and rival is not None and rival[1] > own:
                    values = (form.format(own), form.format(rival[1]))
                    rows.append([reference, f"{level:g} %", measure.upper(), values[0], f"{rival[0]}: {values[1]}"])
    if not rows:
        return f"{table.main.label}: ahead of every rival on every reference at every level, by PSNR and by SSIM."
    return text.markdown_table(["reference", "noise", "by", table.main.label, "best rival"], rows)


def _statistics(table: Table) -> str:
    """Paired differences of PSNR over the references at each level."""
    if table.main is None:
        return "None of ours was run."
    header = ["PSNR", "noise", "mean difference", "95 % interval", "t", "p", "Wilcoxon p", "d_z"]
    rows = []
    for method in table.methods:
        for level in table.levels if method is not table.main else ():
            pairs = table.pairs("psnr", table.main.name, method.name, level)
            if len(pairs) < 2:
                continue
            c = compare_paired([a for a, _ in pairs], [b for _, b in pairs])
            interval = f"{c.low:+.2f} to {c.high:+.2f}"
            tests = (f"{c.t:.2f}", f"{c.p:.2g}", f"{c.wilcoxon_p:.2g}", f"{c.cohen_d:.2f}")
            rows.append([f"against {method.label}", f"{level:g} %", f"{c.mean:+.2f} dB", interval, *tests])
    return f"{table.main.label} less the other, one number a reference.\n\n" + text.markdown_table(header, rows)


def _time(table: Table) -> str:
    rows = []
    for method in table.methods:
        own = select(table.scores, method=method.name)
        if own and method.name != NOISY.name:
            seconds = summarise([score.seconds for score in own])
            speed = summarise([1e6 * score.seconds / score.voxels for score in own])
            rows.append([method.label, f"{seconds.mean:.2f}", f"{speed.mean:.3f}"])
    return text.markdown_table(["method", "s a volume, mean", "s a million voxels"], rows)


def _methods(table: Table) -> str:
    return text.bullets(f"{method.label} (`{method.name}`): {method.citation}." for method in table.methods[1:])
