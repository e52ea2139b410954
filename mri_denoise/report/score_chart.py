"""PSNR and SSIM of single images, before and after, as a chart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mri_denoise.io.files import write_beside

_ROW = 0.22  # inches
_BEFORE, _AFTER = "#9a9a9a", "#0b5394"


def score_chart(
    rows: Sequence[tuple[str, tuple[float, float], tuple[float, float]]], path: Path, title: str = ""
) -> Path:
    """One row an image: a grey dot before, a blue one after with its number, for PSNR and for SSIM.

    Args:
        rows: name, (PSNR in dB, SSIM) before and after, each.
        path: the PNG to write.
        title: above the chart.

    Returns:
        The path.

    Raises:
        ValueError: if there are no rows.
        OutputError: if it cannot be written.
    """
    if not rows:
        raise ValueError("a chart needs one image at least")
    figure = Figure(figsize=(11, 1.2 + _ROW * len(rows)), dpi=100, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11, parse_math=False)
    places = range(len(rows))
    for column, (label, form) in enumerate((("PSNR (dB)", "{:.2f}"), ("SSIM", "{:.4f}"))):
        axes = figure.add_subplot(1, 2, column + 1)
        before, after = [row[1][column] for row in rows], [row[2][column] for row in rows]
        axes.hlines(places, before, after, color="#d9d9d9", linewidth=1, zorder=1)
        axes.scatter(before, places, s=16, color=_BEFORE, label="noisy", zorder=2)
        axes.scatter(after, places, s=16, color=_AFTER, label="denoised", zorder=3)
        for place, value in zip(places, after, strict=True):
            axes.annotate(form.format(value), (value, place), (5, 0), textcoords="offset points", va="center", size=7)
        axes.set_xlabel(label)
        axes.margins(x=0.14)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_yticks(list(places), [row[0] for row in rows] if column == 0 else [], fontsize=7, parse_math=False)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color="#eeeeee")
        axes.set_axisbelow(True)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper right", frameon=False, fontsize=8, ncols=2)
    with write_beside(path) as partial:
        figure.savefig(partial, format="png")
    return path
