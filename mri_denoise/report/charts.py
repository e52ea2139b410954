"""Charts of scores, drawn without pyplot so that nothing global changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mri_denoise.io.files import write_beside

_ROW = 0.22  # inches
_BEFORE, _AFTER = "#9a9a9a", "#0b5394"


@dataclass(frozen=True, kw_only=True)
class ScoredImage:
    """PSNR and SSIM of an image before and after denoising.

    Args:
        name: of the image.
        before: PSNR in dB and SSIM of the noisy image.
        after: PSNR in dB and SSIM of the result.
    """

    name: str
    before: tuple[float, float]
    after: tuple[float, float]


def new_figure(width: float, height: float) -> Figure:
    """An empty white figure.

    Args:
        width: in inches, of 100 pixels each.
        height: likewise.
    """
    figure = Figure(figsize=(width, height), dpi=100, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_png(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, whole or not at all.

    Raises:
        OutputError: if it cannot be written.
    """
    with write_beside(path) as partial:
        figure.savefig(partial, format="png")
    return path


def tidy(axes: Axes) -> None:
    """Draw a light grid behind the data, and no lines above and to the right."""
    axes.grid(color="#e5e5e5")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def score_chart(rows: Sequence[ScoredImage], path: Path, title: str = "") -> Path:
    """Draw one row an image, for PSNR and for SSIM: a grey dot before denoising, a blue dot with its value after it.

    Args:
        rows: the scores of each image, from the top down.
        path: the PNG to write.
        title: text above the chart.

    Returns:
        the path.

    Raises:
        ValueError: if there are no rows.
        OutputError: if the file cannot be written.
    """
    if not rows:
        raise ValueError("a chart needs one image at least")
    figure = new_figure(11, 1.2 + _ROW * len(rows))
    figure.suptitle(title, fontsize=11, parse_math=False)
    places = range(len(rows))
    for column, (label, form) in enumerate((("PSNR (dB)", "{:.2f}"), ("SSIM", "{:.4f}"))):
        axes = figure.add_subplot(1, 2, column + 1)
        before, after = [row.before[column] for row in rows], [row.after[column] for row in rows]
        axes.hlines(places, before, after, color="#d9d9d9", linewidth=1, zorder=1)
        axes.scatter(before, places, s=16, color=_BEFORE, label="noisy", zorder=2)
        axes.scatter(after, places, s=16, color=_AFTER, label="denoised", zorder=3)
        for place, value in zip(places, after, strict=True):
            axes.annotate(form.format(value), (value, place), (5, 0), textcoords="offset points", va="center", size=7)
        axes.set_xlabel(label)
        axes.margins(x=0.14)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_yticks(list(places), [row.name for row in rows] if column == 0 else [], fontsize=7, parse_math=False)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color="#eeeeee")
        axes.set_axisbelow(True)
        axes.spines[["top", "right", "left"]].set_visible(False)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper right", frameon=False, fontsize=8, ncols=2)
    return save_png(figure, path)
