"""The Markdown report and the JSON record of the paper's experiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mri_denoise import record
from mri_denoise.benchmarks.paper import published, tables
from mri_denoise.benchmarks.paper.ablation import ABLATION
from mri_denoise.benchmarks.paper.experiment import Experiment, Results
from mri_denoise.benchmarks.paper.methods import DNCNN_ALIKE, HMAD, HMAD_ALIKE
from mri_denoise.benchmarks.paper.rows import ALL, Gain, MethodRow, PairedRow, VariantRow
from mri_denoise.bundles.weights import sha256
from mri_denoise.report.text import bullets, markdown_table, write_text
from mri_denoise.runtime import choose_device
from mri_denoise.training.scans import DATALIST

DIGITS = tables.DIGITS
# the aim for the shipped weights on 2D pictures: PSNR in dB and SSIM, mean over all images and densities
WANTED = {"psnr": 35.0, "ssim": 0.97}


def write_report(experiment: Experiment, results: Results) -> dict[str, object]:
    """Write ``report.md`` and ``record.json``.

    Args:
        experiment: the choices of the run, which the record lists.
        results: what was found.

    Returns:
        the record.

    Raises:
        OutputError: if a file cannot be written.
    """
    run, device = record.run(), choose_device(experiment.device)
    behind = [line for rows in (results.table_2, results.pictures) for line in tables.losses(rows, HMAD)]
    done = (
        run
        | _settings(experiment, device)
        | {
            "images": results.counts,
            "training": {"steps": experiment.steps, "seeds": list(experiment.seeds), **experiment.overrides},
            "methods": {method.name: method.implementation() for method in results.methods.found},
            "absent": results.methods.absent,
            "not_ahead": behind,
            "tables": results.tables(),
            "figures": results.figures,
        }
    )
    record.write_record(done, experiment.output / "record.json")
    text = [_head(run, device), *_parts(results, behind, experiment.steps, experiment.seeds)]
    write_text("\n\n".join(text) + "\n", experiment.output / "report.md")
    return done


def _settings(experiment: Experiment, device: str) -> dict[str, object]:
    """What the record says of the choices, but for the trainings."""
    dataset = experiment.dataset
    return {
        "device": device,
        "bundle": {"name": experiment.bundle.name, "version": experiment.bundle.version},
        "dataset": None if dataset is None else str(dataset),
        "datalist_sha256": None if dataset is None else sha256(dataset / DATALIST),
        "pictures": None if experiment.images is None else str(experiment.images),
        "densities": [density / 100 for density in experiment.densities],
    }


def _parts(results: Results, behind: Sequence[str], steps: int, seeds: Sequence[int]) -> list[str]:
    """The report below its head; what was left out is missing."""
    parts = []
    if results.table_2:
        words = f"{results.counts['compared']} slices of the test volumes"
        parts += ["## Table 2: methods side by side", _table_2(results.table_2, words)]
    if results.pictures:
        parts += ["## The same on 2D pictures", _table_2(results.pictures, "the pictures"), _verdict(results.pictures)]
    parts += ["### Where HMAD-Net with its shipped weights is not ahead", bullets(behind or ["Nowhere."])]
    if results.methods.absent:
        parts += ["### Absent", bullets(f"{name}: {why}." for name, why in results.methods.absent.items())]
    if results.table_3:
        parts += ["## Table 3: noisy against denoised", _table_3(results.table_3, results.counts["slices"])]
    if results.table_4:
        parts += ["## Table 4: ablation", _table_4(results.table_4, steps, seeds)]
    figures = (f"{words}.\n\n![{words}](figures/{name})" for name, words in results.figures.items())
    return [*parts, "## Figures", *figures]


def _head(run: Mapping[str, Any], device: str) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    return "\n\n".join(
        [
            "# The paper's experiment with other data",
            f"Command: `{run['command']}`  \nMachine: {record.describe(run['machine'])}; "
            f"networks on {device}  \nVersions: {versions}  \nTime: {run['time']}",
            "Salt-and-pepper noise, half of it white, on 8-bit images scaled to [0, 1]; PSNR with peak 1 and SSIM "
            "(Gaussian window, sigma 1.5) over the whole image, results clipped to [0, 1]. The paper's figures were "
            "measured on other images and stand beside ours to be looked at, not to be compared to a tenth of a dB.",
        ]
    )


def _table_2(rows: Sequence[MethodRow], words: str) -> str:
    densities = list(dict.fromkeys(row.density for row in rows))
    head = ["method", *map(_percent, densities), "ms an image", "the paper"]
    body = []
    for name in dict.fromkeys(row.method for row in rows):
        mine = {row.density: row for row in rows if row.method == name}
        mean = mine[ALL]
        paper = _pair(mean.paper_psnr, mean.paper_ssim)
        if mean.paper_milliseconds is not None:
            paper += f" / {mean.paper_milliseconds:g} ms"
        cells = [_pair(mine[d].psnr, mine[d].ssim) for d in densities]
        body.append([mean.label, *cells, f"{mean.milliseconds:.1f}", paper])
    note = (
        f"PSNR in dB / SSIM, means over {words}. BM3D is given the true root mean square of the noise. The paper "
        f"also quotes {published.PAPER_ELSEWHERE}, which were not run here."
    )
    if any(row.method in (DNCNN_ALIKE, HMAD_ALIKE) for row in rows):
        note += " Networks with a number of steps were trained here, alike; the shipped ones much longer."
    return f"{markdown_table(head, body)}\n\n{note}"


def _verdict(rows: Sequence[MethodRow]) -> str:
    ours = next(row for row in rows if row.method == HMAD and row.density == ALL)
    met = all(getattr(ours, measure) >= value for measure, value in WANTED.items())
    return (
        f"HMAD-Net with its shipped weights: mean {_pair(ours.psnr, ours.ssim)}; "
        f"wanted are {WANTED['psnr']:g} dB / {WANTED['ssim']:g}: {'met' if met else 'not met'}."
    )


def _table_3(rows: Sequence[PairedRow], count: int) -> str:
    head = [
        "", "density", "n", "noisy", "denoised", "gain", "95 % CI", "t", "p", "Wilcoxon W", "its p", "effect size d",
    ]  # fmt: skip
    body = []
    for row in rows:
        digits, measure = DIGITS[row.measure], row.measure.upper()
        tests = [_p(row.p), f"{row.wilcoxon:.1f}", _p(row.wilcoxon_p), f"{row.effect_size:.2f}"]
        body.append([measure, _percent(row.density), f"{row.n} {row.unit}s", *_gain(row.found, digits), *tests])
        if row.paper is not None:
            paper = [*_gain(row.paper, digits), "< 0.0001", "", "", ""]
            body.append([f"{measure}, the paper", "", "999 slices", *paper])
    note = (
        f"HMAD-Net with its shipped weights on {count} slices of test and validation volumes, each at every density; "
        '"mean" averages a slice over the densities. Slices of one head are not independent of each other, so the '
        "slices' t and p say more than they should; the rows of subjects (mean of each subject's slices) do not."
    )
    return f"{markdown_table(head, body)}\n\n{note}"


def _gain(gain: Gain, digits: int) -> list[str]:
    return [
        f"{gain.noisy_mean:.{digits}f} ± {gain.noisy_sd:.{digits}f}",
        f"{gain.denoised_mean:.{digits}f} ± {gain.denoised_sd:.{digits}f}",
        f"{gain.gain:+.{digits}f}",
        f"{gain.ci_low:.{digits}f} to {gain.ci_high:.{digits}f}",
        f"{gain.t:.2f}",
    ]


def _table_4(rows: Sequence[VariantRow], steps: int, seeds: Sequence[int]) -> str:
    densities = list(dict.fromkeys(row.density for row in rows))
    head = ["network", *map(_percent, densities), "the paper"]
    body, means = [], []
    for variant in ABLATION:
        mine = {row.density: row for row in rows if row.variant == variant.name}
        mean = mine[ALL]
        body.append([variant.label, *(_spread(mine[d]) for d in densities), _pair(mean.paper_psnr, mean.paper_ssim)])
        means.append(mean)
    first = [max(means, key=lambda row: getattr(row, measure)).label for measure in DIGITS]
    note = (
        "PSNR in dB / SSIM on the slices of Table 2, mean ± standard deviation over the seeds "
        f"{', '.join(map(str, seeds))}; each network trained from scratch for {steps} steps. Best by PSNR: {first[0]}; "
        f'by SSIM: {first[1]}. "Residual" are the skips around the convolutions; all four have the sigmoid head.'
    )
    return f"{markdown_table(head, body)}\n\n{note}"


def _percent(density: str) -> str:
    return density if density == ALL else f"{density} %"


def _pair(psnr: float | None, ssim: float | None) -> str:
    """Both measures, or nothing where the paper has none."""
    return "" if psnr is None or ssim is None else f"{psnr:.{DIGITS['psnr']}f} / {ssim:.{DIGITS['ssim']}f}"


def _spread(row: VariantRow) -> str:
    """Both measures with their standard deviations over the seeds, if there are several."""
    if row.psnr_sd is None or row.ssim_sd is None:
        return _pair(row.psnr, row.ssim)
    psnr, ssim = DIGITS["psnr"], DIGITS["ssim"]
    return f"{row.psnr:.{psnr}f} ± {row.psnr_sd:.{psnr}f} / {row.ssim:.{ssim}f} ± {row.ssim_sd:.{ssim}f}"


def _p(value: float) -> str:
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"
