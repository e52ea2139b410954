"""Figures of images and of what denoising removed, drawn without pyplot so that nothing global changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mri_denoise.report.charts import save_png
from mri_denoise.report.planes import Plane, middle_planes

_DPI = 100
_LARGEST_CELL = 380  # pixels
_GAP = 6  # pixels between pictures
_TITLE = 30  # pixels above a column
_LABEL = 20  # pixels above a row


@dataclass(frozen=True, kw_only=True)
class LabelledPair:
    """A picture before and after denoising.

    Args:
        label: the line above its row.
        noisy: the input, shape (rows, columns).
        denoised: the result, same shape and unit.
        spacing: (height, width) of a pixel, in any unit.
        reference: what the result should be, same shape and unit; None where that is not known.
    """

    label: str
    noisy: np.ndarray
    denoised: np.ndarray
    spacing: tuple[float, float] = (1.0, 1.0)
    reference: np.ndarray | None = None


def comparison(
    noisy: np.ndarray,
    denoised: np.ndarray,
    path: Path,
    spacing: Sequence[float] | None = None,
    titles: tuple[str, str, str] = ("Noisy", "Denoised", "Absolute residual"),
    affine: np.ndarray | None = None,
) -> Path:
    """Draw input, output and absolute residual side by side, without axes and in true proportions.

    The figure has the three columns of the paper (Umair and Hamid 2025, Figures 7, 8 and 11): both images in one grey
    window, and the absolute residual in "hot" colours from 0 to its 99.5th percentile. A volume has one row each for
    its middle axial, coronal and sagittal slice, all at one scale.

    Args:
        noisy: a picture (rows, columns), a volume (X, Y, Z), or volumes (T, X, Y, Z) of which the first is drawn.
        denoised: same shape and unit.
        path: the PNG to write.
        spacing: as in ``middle_planes``.
        titles: of the three columns.
        affine: as in ``middle_planes``.

    Returns:
        the path.

    Raises:
        ValueError: if the shapes differ.
        OutputError: if the file cannot be written.
    """
    if noisy.shape != denoised.shape:
        raise ValueError(f"shapes differ: {noisy.shape} and {denoised.shape}")
    before = middle_planes(noisy, spacing, affine)
    after = middle_planes(denoised, spacing, affine)
    scale = _LARGEST_CELL / max(max(plane.size) for plane in before)
    grey = _window([plane.pixels for plane in before])
    rows = [_row("", b, a, scale) for b, a in zip(before, after, strict=True)]
    return _draw_rows(rows, path, titles, grey)


def comparison_rows(
    images: Sequence[LabelledPair],
    path: Path,
    titles: Sequence[str] = ("Noisy", "Denoised", "Absolute residual"),
    window: tuple[float, float] = (0.0, 1.0),
) -> Path:
    """Draw several pictures below one another as in :func:`comparison`, each below its label and filling its cell.

    Args:
        images: the rows, from the top down.
        path: the PNG to write.
        titles: of the columns: three, or four with that of the reference before the last.
        window: black and white of the grey columns.

    Returns:
        the path.

    Raises:
        ValueError: if there are no images, the shapes of a pair differ, or a reference has no title or a title none.
        OutputError: if the file cannot be written.
    """
    rows = []
    for image in images:
        if image.noisy.shape != image.denoised.shape:
            raise ValueError(f"shapes differ: {image.noisy.shape} and {image.denoised.shape}")
        if (image.reference is not None) != (len(titles) == 4):
            raise ValueError("a reference needs a title, and a title a reference")
        (before,), (after,) = (middle_planes(array, image.spacing) for array in (image.noisy, image.denoised))
        rows.append(_row(image.label, before, after, _LARGEST_CELL / max(before.size), image.reference))
    if not rows:
        raise ValueError("a figure needs one image at least")
    return _draw_rows(rows, path, titles, window)


@dataclass(frozen=True, kw_only=True)
class _Row:
    """What one row of a comparison shows; ``scale`` is pixels of the figure per unit of the planes' size."""

    label: str
    before: Plane
    residual: np.ndarray
    after: Plane
    scale: float
    reference: np.ndarray | None

    @property
    def pictures(self) -> list[np.ndarray]:
        """One of each column; the last is the residual."""
        shown = [self.before.pixels, self.after.pixels]
        return [*shown, *([] if self.reference is None else [self.reference]), self.residual]


def _row(label: str, before: Plane, after: Plane, scale: float, reference: np.ndarray | None = None) -> _Row:
    residual = np.abs(before.pixels - after.pixels)
    return _Row(label=label, before=before, residual=residual, after=after, scale=scale, reference=reference)


def _draw_rows(rows: Sequence[_Row], path: Path, titles: Sequence[str], grey: tuple[float, float]) -> Path:
    removed = np.concatenate([row.residual.ravel() for row in rows])
    top = float(np.percentile(removed, 99.5)) or float(removed.max()) or 1.0
    heights = [max(1, round(row.before.size[0] * row.scale)) for row in rows]
    widths = [max(1, round(row.before.size[1] * row.scale)) for row in rows]
    labels = [_LABEL if row.label else 0 for row in rows]
    cell = max(150, *widths)  # a title is about 150 wide
    columns = len(titles)
    canvas = _Canvas(
        columns * cell + (columns - 1) * _GAP, _TITLE + sum(heights) + sum(labels) + _GAP * (len(rows) - 1)
    )
    for column, title in enumerate(titles):
        canvas.text(title, column * (cell + _GAP) + cell / 2, _TITLE / 2, 12)
    row_top = _TITLE
    for row, height, width, label in zip(rows, heights, widths, labels, strict=True):
        if row.label:
            canvas.text(row.label, canvas.width / 2, row_top + label / 2, 9)
        row_top += label
        for column, pixels in enumerate(row.pictures):
            left = column * (cell + _GAP) + (cell - width) // 2
            colours, window = ("gray", grey) if column < columns - 1 else ("hot", (0.0, top))
            canvas.picture(pixels, (left, row_top, width, height), colours, window)
        row_top += height + _GAP
    return save_png(canvas.figure, path)


class _Canvas:
    """A white sheet measured in pixels from its top left corner."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor="white")
        FigureCanvasAgg(self.figure)

    def text(self, words: str, x: float, y: float, size: float) -> None:
        place = (x / self.width, 1 - y / self.height)
        self.figure.text(*place, words, ha="center", va="center", fontsize=size, parse_math=False)

    def picture(
        self, pixels: np.ndarray, box: tuple[float, float, float, float], colours: str, window: tuple[float, float]
    ) -> None:
        """Fill ``box`` (left, top, width, height) with an image; the box has its proportions already."""
        left, top, width, height = box
        place = (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        axes = self.figure.add_axes(place)
        axes.set_axis_off()
        axes.imshow(pixels, cmap=colours, vmin=window[0], vmax=window[1], aspect="auto")


def _window(pictures: Sequence[np.ndarray]) -> tuple[float, float]:
    """Black and white that neither a few bright vessels nor an empty background decide."""
    values = np.concatenate([picture.ravel() for picture in pictures])
    low, high = np.percentile(values, (0.5, 99.7))
    return (float(low), float(high)) if high > low else (float(values.min()), float(values.max()) or 1.0)
