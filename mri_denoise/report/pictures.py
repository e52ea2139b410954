"""Small pictures inside a page, as data URIs."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from mri_denoise.report.planes import Plane, middle_planes
from mri_denoise.report.scan import Scan

_SMALL, _LARGE = 132, 300  # pixels of the longer edge
_QUALITY = 82
_RESIZE = {True: Image.Resampling.NEAREST, False: Image.Resampling.BOX}  # whether it gets larger
_RANGE = 4.0  # standard deviations of what was removed from black to grey, and from grey to white


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Pictures of a scan, JPEG as data URIs.

    Args:
        thumbnail: one slice of the result, and of what was removed.
        figure: the middle slices before, after and what was removed, a row a plane; for paper.
    """

    thumbnail: str
    figure: str


def draw(scan: Scan, scale: float) -> Pictures:
    """Draw the pictures of a scan.

    Args:
        scan: the images.
        scale: standard deviation of the noise, above 0.
    """
    rows = _rows(scan, scale)
    _, after, removed = rows[0]
    large = [
        np.concatenate([_fit(before, _LARGE), _fit(after, _LARGE), _fit(removed, _LARGE, 128)], axis=1)
        for before, after, removed in rows
    ]
    small = np.concatenate([_fit(after, _SMALL), _fit(removed, _SMALL, 128)], axis=1)
    return Pictures(thumbnail=_uri(small), figure=_uri(np.concatenate(large, axis=0)))


def _rows(scan: Scan, scale: float) -> list[tuple[Plane, Plane, Plane]]:
    """Before, after and removed in grey levels, for each plane; the largest one first, which cuts no thick slices."""
    low = min(0.0, float(np.percentile(scan.before, 0.1)))
    grey = 255 / ((float(np.percentile(scan.before, 99.7)) - low) or 1.0)
    arrays = (scan.before, scan.after)
    if scan.picture:
        planes = [middle_planes(array[:, :, 0]) for array in arrays]
    else:
        planes = [middle_planes(array, affine=scan.affine) for array in arrays]
    rows = []
    for before, after in zip(*planes, strict=True):
        removed = 128 + (before.pixels - after.pixels) * (127 / (_RANGE * scale))
        scaled = [replace(plane, pixels=(plane.pixels - low) * grey) for plane in (before, after)]
        rows.append((scaled[0], scaled[1], replace(before, pixels=removed)))
    largest = max(row[0].pixels.size for row in rows)
    return sorted(rows, key=lambda row: -round(row[0].pixels.size / largest, 1))


def _fit(plane: Plane, edge: int, around: int = 0) -> np.ndarray:
    """A plane on a square of so many pixels, in true proportions, with one grey level around it."""
    scale = edge / max(plane.size)
    height, width = (max(1, round(length * scale)) for length in plane.size)
    picture = Image.fromarray(np.rint(plane.pixels).clip(0, 255).astype(np.uint8))
    picture = picture.resize((width, height), _RESIZE[height > plane.pixels.shape[0]])
    square = np.full((edge, edge), around, dtype=np.uint8)
    top, left = (edge - height) // 2, (edge - width) // 2
    square[top : top + height, left : left + width] = np.asarray(picture)
    return square


def _uri(pixels: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
