"""The Markdown report and the JSON record of the paper's experiment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from mri_denoise import record as provenance
from mri_denoise.benchmarks.paper import tables
from mri_denoise.benchmarks.paper.ablation import ABLATION
from mri_denoise.benchmarks.paper.methods import DNCNN_ALIKE, HMAD, HMAD_ALIKE
from mri_denoise.bundles.weights import sha256
from mri_denoise.report.text import markdown_table, write_text
from mri_denoise.runtime import choose_device

if TYPE_CHECKING:
    from mri_denoise.benchmarks.paper.run import Experiment, Results

DIGITS = {"psnr": 2, "ssim": 4}
# what is asked of the shipped weights on 2D pictures: PSNR in dB and SSIM, mean over all images and densities
WANTED = {"psnr": 35.0, "ssim": 0.97}


def record_of(experiment: Experiment, results: Results) -> dict[str, Any]:
    """All that is needed to do the same again, and the tables."""
    dataset = experiment.dataset
    shown = results.tables.get("table_2"), results.tables.get("pictures")
    return provenance.run() | {
        "device": choose_device(experiment.device),
        "bundle": {"name": experiment.bundle.name, "version": experiment.bundle.version},
        "dataset": None if dataset is None else str(dataset),
        "datalist_sha256": None if dataset is None else sha256(dataset / "datalist.json"),
        "pictures": None if experiment.images is None else str(experiment.images),
        "densities": list(experiment.densities),
        "images": results.counts,
        "training": {"steps": experiment.steps, "seeds": list(experiment.seeds), **experiment.training_overrides},
        "methods": {method.name: method.implementation() for method in results.methods.found},
        "absent": results.methods.absent,
        "not_ahead": [line for rows in shown if rows for line in tables.losses(rows, HMAD)],
        "tables": results.tables,
        "figures": results.figures,
    }


def write_report(experiment: Experiment, results: Results, record: dict[str, Any]) -> None:
    """Write ``report.md`` and ``record.json``.

    Raises:
        OutputError: if they cannot be written.
    """
    provenance.write_record(record, experiment.output / "record.json")
    parts = [_head(record)]
    if "table_2" in results.tables:
        words = f"{results.counts['compared']} slices of the test volumes"
        parts += ["## Table 2: methods side by side", _table_2(results.tables["table_2"], words)]
    if "pictures" in results.tables:
        parts += ["## The same on 2D pictures", _table_2(results.tables["pictures"], "the pictures")]
        parts.append(_verdict(results.tables["pictures"]))
    parts += ["### Where HMAD-Net with its shipped weights is not ahead", _lines(record["not_ahead"] or ["Nowhere."])]
    if results.methods.absent:
        parts += ["### Absent", _lines(f"{name}: {why}." for name, why in results.methods.absent.items())]
    if "table_3" in results.tables:
        parts += ["## Table 3: noisy against denoised", _table_3(results.tables["table_3"], results.counts["slices"])]
    if "table_4" in results.tables:
        parts += ["## Table 4: ablation", _table_4(results.tables["table_4"], experiment)]
    parts += ["## Figures", *(f"{words}.\n\n![{words}](figures/{name})" for name, words in results.figures.items())]
    write_text("\n\n".join(parts) + "\n", experiment.output / "report.md")


def _head(record: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    return "\n\n".join(
        [
            "# The paper's experiment with other data",
            f"Command: `{record['command']}`  \nMachine: {provenance.describe(record['machine'])}; "
            f"networks on {record['device']}  \nVersions: {versions}  \nTime: {record['time']}",
            "Salt-and-pepper noise, half of it white, on 8-bit images scaled to [0, 1]; PSNR with peak 1 and SSIM "
            "(Gaussian window, sigma 1.5) over the whole image, results clipped to [0, 1]. The paper's figures were "
            "measured on other images and stand beside ours to be looked at, not to be compared to a tenth of a dB.",
        ]
    )


def _table_2(rows: Sequence[dict[str, Any]], words: str) -> str:
    densities = list(dict.fromkeys(row["density"] for row in rows))
    head = ["method", *(f"{d} %" if d != tables.ALL else d for d in densities), "ms an image", "the paper"]
    body = []
    for name in dict.fromkeys(row["method"] for row in rows):
        mine = {row["density"]: row for row in rows if row["method"] == name}
        mean = mine[tables.ALL]
        paper = "" if mean["paper_psnr"] is None else f"{_pair(mean, 'paper_')} / {mean['paper_milliseconds']:g} ms"
        cells = [_pair(mine[d]) for d in densities]
        body.append([mean["label"], *cells, f"{mean['milliseconds']:.1f}", paper])
    note = (
        f"PSNR in dB / SSIM, means over {words}. BM3D is given the true root mean square of the noise. The paper "
        f"also quotes {tables.PAPER_ELSEWHERE}, which were not run here."
    )
    if any(row["method"] in (DNCNN_ALIKE, HMAD_ALIKE) for row in rows):
        note += " Networks with a number of steps were trained here, alike; the shipped ones much longer."
    return f"{markdown_table(head, body)}\n\n{note}"


def _verdict(rows: Sequence[dict[str, Any]]) -> str:
    ours = next(row for row in rows if row["method"] == HMAD and row["density"] == tables.ALL)
    met = all(ours[measure] >= value for measure, value in WANTED.items())
    return (
        f"HMAD-Net with its shipped weights: mean {_pair(ours)}; "
        f"wanted are {WANTED['psnr']:g} dB / {WANTED['ssim']:g}: {'met' if met else 'not met'}."
    )


def _table_3(rows: Sequence[dict[str, Any]], count: int) -> str:
    head = [
        "", "density", "n", "noisy", "denoised", "gain", "95 % CI", "t", "p", "Wilcoxon W", "its p", "effect size d",
    ]  # fmt: skip
    body = []
    for row in rows:
        digits = DIGITS[row["measure"]]
        measure, unit = row["measure"].upper(), f"{row['unit']}s"
        density = row["density"] if row["density"] == tables.ALL else f"{row['density']} %"
        tests = [_p(row["p"]), f"{row['wilcoxon']:.1f}", _p(row["wilcoxon_p"]), f"{row['effect_size']:.2f}"]
        body.append([measure, density, f"{row['n']} {unit}", *_gain(row, "", digits), f"{row['t']:.2f}", *tests])
        if row["paper_t"] is not None:
            paper = [*_gain(row, "paper_", digits), f"{row['paper_t']:.2f}", "< 0.0001", "", "", ""]
            body.append([f"{measure}, the paper", "", "999 slices", *paper])
    note = (
        f"HMAD-Net with its shipped weights on {count} slices of test and validation volumes, each at every density; "
        '"mean" averages a slice over the densities. Slices of one head are not independent of each other, so the '
        "slices' t and p say more than they should; the rows of subjects (mean of each subject's slices) do not."
    )
    return f"{markdown_table(head, body)}\n\n{note}"


def _gain(row: dict[str, Any], prefix: str, digits: int) -> list[str]:
    def spread(when: str) -> str:
        return f"{row[f'{prefix}{when}_mean']:.{digits}f} ± {row[f'{prefix}{when}_sd']:.{digits}f}"

    low, high = row[f"{prefix}ci_low"], row[f"{prefix}ci_high"]
    return [
        spread("noisy"),
        spread("denoised"),
        f"{row[f'{prefix}gain']:+.{digits}f}",
        f"{low:.{digits}f} to {high:.{digits}f}",
    ]


def _table_4(rows: Sequence[dict[str, Any]], experiment: Experiment) -> str:
    densities = list(dict.fromkeys(row["density"] for row in rows))
    head = ["network", *(f"{d} %" if d != tables.ALL else d for d in densities), "the paper"]
    body, means = [], []
    for variant in ABLATION:
        mine = {row["density"]: row for row in rows if row["variant"] == variant.name}
        body.append([variant.label, *(_spread(mine[d]) for d in densities), _pair(mine[tables.ALL], "paper_")])
        means.append(mine[tables.ALL])
    first = [max(means, key=lambda row: row[measure])["label"] for measure in DIGITS]
    seeds = ", ".join(str(seed) for seed in experiment.seeds)
    note = (
        f"PSNR in dB / SSIM on the slices of Table 2, mean ± standard deviation over the seeds {seeds}; each network "
        f"trained from scratch for {experiment.steps} steps. Best by PSNR: {first[0]}; by SSIM: {first[1]}. "
        '"Residual" are the skips around the convolutions; all four have the sigmoid head.'
    )
    return f"{markdown_table(head, body)}\n\n{note}"


def _pair(row: dict[str, Any], prefix: str = "") -> str:
    return " / ".join(f"{row[prefix + measure]:.{digits}f}" for measure, digits in DIGITS.items())


def _spread(row: dict[str, Any]) -> str:
    if row["psnr_sd"] is None:
        return _pair(row)
    return " / ".join(f"{row[name]:.{digits}f} ± {row[name + '_sd']:.{digits}f}" for name, digits in DIGITS.items())


def _p(value: float) -> str:
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def _lines(items: Iterable[str]) -> str:
    return "\n".join(f"- {item}" for item in items)
