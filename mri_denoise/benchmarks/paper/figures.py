"""The paper's Figures 7, 8, 11 and 12 with images and scores of one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mri_denoise.benchmarks.baselines import Denoiser
from mri_denoise.benchmarks.paper.images import GreyImage, choose_for_figure
from mri_denoise.benchmarks.paper.scores import NOISY, ImageSet, Score
from mri_denoise.evaluation import metrics
from mri_denoise.report.figures import comparison_rows
from mri_denoise.report.score_chart import score_chart

ROWS = 3  # images in Figures 7, 8 and 11
SINGLE = 30  # images in Figure 12, as in the paper


def draw_figures(
    sets: Mapping[str, ImageSet],
    scores: Sequence[Score],
    method: Denoiser,
    early: Denoiser | None,
    densities: Sequence[float],
    folder: Path,
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Draw what the images allow.

    Figure 7 shows slices of Table 3's volumes, Figure 8 the pictures (or the slices of Table 2 where there are none),
    both denoised with the shipped weights, Figure 11 the slices of Table 2 by the network trained here for a short
    while, Figure 12 thirty images of Figure 8's set one by one.

    Args:
        sets: images by name: ``"slices"``, ``"compared"``, ``"pictures"``.
        scores: of the noisy images and of ``method``.
        method: HMAD-Net with its shipped weights.
        early: HMAD-Net trained for a short while, or None.
        densities: shares of pixels replaced; the rows of a figure take them in turn.
        folder: of the PNGs.

    Returns:
        the rows of Figure 12 (image, density, PSNR and SSIM before and after), and what each file shows.
    """
    figures: dict[str, str] = {}
    other = "pictures" if "pictures" in sets else "compared"
    plans: list[tuple[str, str, Denoiser | None, str]] = [
        ("figure_7.png", "slices", method, "Figure 7: slices of test and validation volumes, shipped weights"),
        ("figure_8.png", other, method, f"Figure 8: {_words(other)}, shipped weights"),
        ("figure_11.png", "compared", early, "Figure 11: test slices, the network after its short training here"),
    ]
    for name, images, denoiser, words in plans:
        if images in sets and denoiser is not None:
            _comparison(sets[images], denoiser, densities, folder / name)
            figures[name] = words
    middle = sorted(densities)[len(densities) // 2]
    rows = _single_images(scores, sets[other], method.name, middle)
    title = f"HMAD-Net on {_words(other)}, salt and pepper {100 * middle:g} %"
    chart = [
        (r["image"], (r["noisy_psnr"], r["noisy_ssim"]), (r["psnr"], r["ssim"])) for r in rows
    ]  # fmt: skip
    score_chart(chart, folder / "figure_12.png", title)
    figures["figure_12.png"] = f"Figure 12: {title}, image by image"
    return rows, figures


def _words(images: str) -> str:
    return "2D pictures" if images == "pictures" else "test slices"


def _comparison(images: ImageSet, method: Denoiser, densities: Sequence[float], path: Path) -> None:
    rows = []
    for number, image in enumerate(choose_for_figure(images.images, ROWS)):
        density = densities[number % len(densities)]
        noisy = image.noisy(density, images.seed)
        result = np.clip(method(noisy), 0, 1)
        label = f"{image.name}, {100 * density:g} %: {_psnr(image, noisy)} dB to {_psnr(image, result)} dB"
        rows.append((label, noisy, result, image.size))
    comparison_rows(rows, path)


def _psnr(image: GreyImage, result: np.ndarray) -> str:
    return f"{metrics.psnr(image.clean(), result, peak=1.0):.1f}"


def _single_images(scores: Sequence[Score], images: ImageSet, method: str, density: float) -> list[dict[str, Any]]:
    """Thirty images at most, spread over the set."""
    mine = [s for s in scores if s.images == images.name and s.density == density]
    found = {name: {s.image: s for s in mine if s.method == name} for name in (NOISY, method)}
    names = [image.name for image in images.images]
    places = np.unique(np.linspace(0, len(names) - 1, min(SINGLE, len(names))).round().astype(int))
    rows = []
    for place in places:
        before, after = found[NOISY][names[place]], found[method][names[place]]
        rows.append(
            {
                "image": after.image, "density": f"{100 * density:g}", "noisy_psnr": before.psnr,
                "noisy_ssim": before.ssim, "psnr": after.psnr, "ssim": after.ssim,
            }
        )  # fmt: skip
    return rows
