"""The paper's Figures 7, 8, 11 and 12 with the images and scores of this run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mri_denoise.benchmarks.baselines import NOISY, Method
from mri_denoise.benchmarks.paper.images import GreyImage, choose_for_figure
from mri_denoise.benchmarks.paper.rows import SingleRow
from mri_denoise.benchmarks.paper.scores import ImageScore, ImageSet
from mri_denoise.benchmarks.scores import select
from mri_denoise.evaluation import metrics
from mri_denoise.report.charts import ScoredImage, score_chart
from mri_denoise.report.figures import LabelledPair, comparison_rows

ROWS = 3  # images in Figures 7, 8 and 11
SINGLE = 30  # images in Figure 12, as in the paper


def draw_comparisons(
    sets: Mapping[str, ImageSet], method: Method, early: Method | None, densities: Sequence[float], folder: Path
) -> dict[str, str]:
    """Draw Figures 7, 8 and 11 as far as there are images for them.

    Figure 7 shows slices of the volumes of Table 3, Figure 8 the pictures (slices of Table 2 where there are none),
    both denoised with the shipped weights, and Figure 11 slices of Table 2 denoised by the network that was trained
    here for a short while.

    Args:
        sets: images by name: ``"slices"``, ``"compared"``, ``"pictures"``.
        method: HMAD-Net with its shipped weights.
        early: HMAD-Net trained for a short while, or None.
        densities: of the noise in percent; the rows of a figure take them in turn.
        folder: of the PNGs.

    Returns:
        what each file shows, by its name.

    Raises:
        OutputError: if a file cannot be written.
    """
    other = single_set(sets)
    plans = (
        ("figure_7.png", "slices", method, "Figure 7: slices of test and validation volumes, shipped weights"),
        ("figure_8.png", other, method, f"Figure 8: {_words(other)}, shipped weights"),
        ("figure_11.png", "compared", early, "Figure 11: test slices, the network after its short training here"),
    )
    figures: dict[str, str] = {}
    for name, images, denoiser, words in plans:
        if images in sets and denoiser is not None:
            _comparison(sets[images], denoiser, densities, folder / name)
            figures[name] = words
    return figures


def draw_single_images(
    images: ImageSet, scores: Sequence[ImageScore], method: str, level: float, folder: Path
) -> tuple[list[SingleRow], dict[str, str]]:
    """Draw Figure 12: the scores of thirty images at most, spread over a set, one by one.

    Args:
        images: the set.
        scores: of the noisy images and of the method on this set.
        method: name of the method.
        level: density of the noise in percent.
        folder: of the PNG.

    Returns:
        the rows of the figure, and what the file shows, by its name.

    Raises:
        OutputError: if the file cannot be written.
    """
    mine = [score for score in scores if score.images == images.name]
    before, after = ({s.image: s for s in select(mine, method=name, level=level)} for name in (NOISY.name, method))
    names = [image.name for image in images.images]
    places = np.unique(np.linspace(0, len(names) - 1, min(SINGLE, len(names))).round().astype(int))
    rows = [
        SingleRow(
            image=name,
            density=f"{level:g}",
            noisy_psnr=before[name].psnr,
            noisy_ssim=before[name].ssim,
            psnr=after[name].psnr,
            ssim=after[name].ssim,
        )
        for name in (names[place] for place in places)
    ]
    title = f"HMAD-Net on {_words(images.name)}, salt and pepper {level:g} %"
    chart = [ScoredImage(name=r.image, before=(r.noisy_psnr, r.noisy_ssim), after=(r.psnr, r.ssim)) for r in rows]
    score_chart(chart, folder / "figure_12.png", title)
    return rows, {"figure_12.png": f"Figure 12: {title}, image by image"}


def single_set(sets: Mapping[str, ImageSet]) -> str:
    """The set of Figures 8 and 12: the pictures, or the slices of Table 2 where there are none."""
    return "pictures" if "pictures" in sets else "compared"


def _words(images: str) -> str:
    return "2D pictures" if images == "pictures" else "test slices"


def _comparison(images: ImageSet, method: Method, densities: Sequence[float], path: Path) -> None:
    rows = []
    for number, image in enumerate(choose_for_figure(images.images, ROWS)):
        level = densities[number % len(densities)]
        noisy = image.noisy(level / 100, images.seed)
        result = np.clip(method(noisy), 0, 1)
        label = f"{image.name}, {level:g} %: {_psnr(image, noisy)} dB to {_psnr(image, result)} dB"
        rows.append(LabelledPair(label=label, noisy=noisy, denoised=result, spacing=image.size))
    comparison_rows(rows, path)


def _psnr(image: GreyImage, result: np.ndarray) -> str:
    return f"{metrics.psnr(image.clean(), result, peak=1.0):.1f}"
