"""Figures of images and of what denoising took out of them, drawn without pyplot so that nothing global changes."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_DPI = 100
_LARGEST_CELL = 380  # pixels
_GAP = 6  # pixels between pictures
_TITLE = 30  # pixels above a column


@dataclass(frozen=True)
class Plane:
    """One slice, ready to be drawn.

    Args:
        name: ``axial``, ``coronal``, ``sagittal``, or ``image`` for a 2D picture.
        pixels: float32 (rows, columns), the first row on top; 0 where the array is not finite.
        size: (height, width) in mm, or in pixels for a 2D picture.
    """

    name: str
    pixels: np.ndarray
    size: tuple[float, float]


def middle_planes(
    array: np.ndarray, spacing: Sequence[float] | None = None, affine: np.ndarray | None = None
) -> list[Plane]:
    """The middle slices of a volume as a radiologist sees them, or a 2D picture as it is.

    The patient's right is on the left of axial and coronal slices, the front on the left of sagittal ones, the head up.
    Oblique volumes are turned to their closest axes, not resampled.

    Args:
        array: (X, Y, Z); (T, X, Y, Z), of which the first volume is shown; or a picture (rows, columns).
        spacing: millimetres along each axis of the array; read from ``affine``, or 1, by default.
        affine: voxel index to RAS+ mm; without one, the axes are taken to run right, forward and up.

    Returns:
        Axial, coronal and sagittal planes, without those that an axis of one voxel would make a line.

    Raises:
        ValueError: if the array has another number of axes.
    """
    if array.ndim == 4:
        array = array[0]
    if array.ndim == 2:
        step = (1.0, 1.0) if spacing is None else (float(spacing[0]), float(spacing[1]))
        return [Plane("image", _drawable(array), (array.shape[0] * step[0], array.shape[1] * step[1]))]
    if array.ndim != 3:
        raise ValueError(f"a picture, a volume or a series of volumes is needed, not an array of shape {array.shape}")
    affine = np.eye(4) if affine is None else np.asarray(affine, dtype=np.float64)
    step3 = nib.affines.voxel_sizes(affine) if spacing is None else np.asarray(spacing[:3], dtype=np.float64)
    orientation = nib.orientations.io_orientation(affine)
    if np.isnan(orientation).any():  # a degenerate affine
        orientation = np.array([[0, 1], [1, 1], [2, 1]], dtype=np.float64)
    array = nib.orientations.apply_orientation(array, orientation)
    extent = np.empty(3)
    extent[orientation[:, 0].astype(int)] = step3
    extent *= array.shape
    x, y, z = (n // 2 for n in array.shape)
    # Rows run downwards and columns to the right: z and y from the top down, x and y from the right and the front.
    planes = [
        Plane("axial", _drawable(array[::-1, ::-1, z].T), (extent[1], extent[0])),
        Plane("coronal", _drawable(array[::-1, y, ::-1].T), (extent[2], extent[0])),
        Plane("sagittal", _drawable(array[x, ::-1, ::-1].T), (extent[2], extent[1])),
    ]
    return [plane for plane in planes if min(plane.pixels.shape) > 1] or planes[:1]


def comparison(
    noisy: np.ndarray,
    denoised: np.ndarray,
    path: Path,
    spacing: Sequence[float] | None = None,
    titles: tuple[str, str, str] = ("Noisy", "Denoised", "Absolute residual"),
    affine: np.ndarray | None = None,
) -> Path:
    """Draw input, output and what was removed side by side, without axes and in true proportions.

    It is the paper's three-column picture (Umair and Hamid 2025, Figures 7, 8 and 11): both images in one grey window,
    the absolute residual in "hot" colours from 0 to its 99.5th percentile. A volume gives a row each for its middle
    axial, coronal and sagittal slice, all at one scale.

    Args:
        noisy: a picture (rows, columns), a volume (X, Y, Z), or volumes (T, X, Y, Z) of which the first is drawn.
        denoised: same shape and unit.
        path: the PNG to write.
        spacing: as in ``middle_planes``.
        titles: of the three columns.
        affine: as in ``middle_planes``.

    Returns:
        The path.

    Raises:
        ValueError: if the shapes differ.
    """
    if noisy.shape != denoised.shape:
        raise ValueError(f"shapes differ: {noisy.shape} and {denoised.shape}")
    before = middle_planes(noisy, spacing, affine)
    after = middle_planes(denoised, spacing, affine)
    grey = _window([plane.pixels for plane in before])
    residuals = [np.abs(a.pixels - b.pixels) for a, b in zip(before, after, strict=True)]
    removed = np.concatenate([residual.ravel() for residual in residuals])
    top = float(np.percentile(removed, 99.5)) or float(removed.max()) or 1.0

    scale = _LARGEST_CELL / max(max(plane.size) for plane in before)
    heights = [max(1, round(plane.size[0] * scale)) for plane in before]
    widths = [max(1, round(plane.size[1] * scale)) for plane in before]
    cell = max(150, *widths)  # a title is about 150 wide
    canvas = _Canvas(3 * cell + 2 * _GAP, _TITLE + sum(heights) + _GAP * (len(heights) - 1))
    for column, title in enumerate(titles):
        canvas.text(title, column * (cell + _GAP) + cell / 2, _TITLE / 2, 12)
    row_top = _TITLE
    for row, (height, width) in enumerate(zip(heights, widths, strict=True)):
        for column, pixels in enumerate((before[row].pixels, after[row].pixels, residuals[row])):
            left = column * (cell + _GAP) + (cell - width) // 2
            colours, window = ("gray", grey) if column < 2 else ("hot", (0.0, top))
            canvas.picture(pixels, (left, row_top, width, height), colours, window)
        row_top += height + _GAP
    return canvas.save(path)


def contact_sheet(images: Sequence[tuple[str, np.ndarray]], path: Path, columns: int = 6) -> Path:
    """Draw many pictures on one sheet, each in its own grey window and with its title, to look over a batch of results.

    Args:
        images: title and picture (rows, columns) each.
        path: the PNG to write.
        columns: pictures in a row.

    Returns:
        The path.

    Raises:
        ValueError: if there are no images or ``columns`` is not positive.
    """
    if not images or columns < 1:
        raise ValueError("a contact sheet needs one image and one column at least")
    cell, title_height = 200, 18
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    canvas = _Canvas(columns * (cell + _GAP) - _GAP, rows * (cell + title_height + _GAP) - _GAP)
    for number, (title, array) in enumerate(images):
        row, column = divmod(number, columns)
        left, top = column * (cell + _GAP), row * (cell + title_height + _GAP)
        pixels = _drawable(array)
        scale = cell / max(pixels.shape)
        height, width = (max(1, round(n * scale)) for n in pixels.shape)
        short = title if len(title) <= 32 else title[:15] + "…" + title[-16:]
        canvas.text(short, left + cell / 2, top + title_height / 2, 7)
        box = (left + (cell - width) // 2, top + title_height + (cell - height) // 2, width, height)
        canvas.picture(pixels, box, "gray", _window([pixels]))
    return canvas.save(path)


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

    def save(self, path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        try:
            self.figure.savefig(partial, format="png")
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
        return path


def _drawable(array: np.ndarray) -> np.ndarray:
    """Float32 with 0 for what is not finite."""
    return np.nan_to_num(array.astype(np.float32), copy=False, nan=0.0, posinf=0.0, neginf=0.0)


def _window(pictures: Sequence[np.ndarray]) -> tuple[float, float]:
    """Black and white that neither a few bright vessels nor an empty background decide."""
    values = np.concatenate([picture.ravel() for picture in pictures])
    low, high = np.percentile(values, (0.5, 99.7))
    return (float(low), float(high)) if high > low else (float(values.min()), float(values.max()) or 1.0)
