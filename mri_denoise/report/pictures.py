"""Small pictures inside a page, as data URIs."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from mri_denoise.report.planes import Plane, middle_planes
from mri_denoise.report.sources import Scan

_SMALL, _LARGE = 132, 300  # pixels of the longer edge
_QUALITY = 82
_RESIZE = {True: Image.Resampling.NEAREST, False: Image.Resampling.BOX}  # whether it gets larger
_RANGE = 4.0  # standard deviations of what was removed from black to grey, and from grey to white


def thumbnail(scan: Scan, scale: float) -> str:
    """Draw the result and what was removed side by side, in one slice.

    Args:
        scan: the images.
        scale: standard deviation of the noise, above 0.

    Returns:
        a JPEG as data URI.
    """
    (_, after, removed), *_ = _rows(scan, scale)
    return _uri(np.concatenate([_fit(after, _SMALL), _fit(removed, _SMALL)], axis=1))


def figure(scan: Scan, scale: float) -> str:
    """Draw the middle slices before, after and what was removed, for paper and for browsers without scripts.

    Args:
        scan: the images.
        scale: standard deviation of the noise, above 0.

    Returns:
        a JPEG as data URI.
    """
    rows = [np.concatenate([_fit(plane, _LARGE) for plane in row], axis=1) for row in _rows(scan, scale)]
    return _uri(np.concatenate(rows, axis=0))


def _rows(scan: Scan, scale: float) -> list[tuple[Plane, Plane, Plane]]:
    """Before, after and removed as 8 bits, for each plane; the axial one or the plane across thick slices first."""
    low = min(0.0, float(np.percentile(scan.before, 0.1)))
    high = float(np.percentile(scan.before, 99.7))
    grey = 255 / ((high - low) or 1.0)
    arrays = (
        (scan.before - low) * grey,
        (scan.after - low) * grey,
        128 + (scan.before - scan.after) * (127 / (_RANGE * scale)),
    )
    if scan.picture:
        planes = [middle_planes(array[:, :, 0]) for array in arrays]
    else:
        planes = [middle_planes(array, affine=scan.affine) for array in arrays]
    rows = [(before, after, removed) for before, after, removed in zip(*planes, strict=True)]
    return sorted(rows, key=lambda row: -round(row[0].pixels.size / max(r[0].pixels.size for r in rows), 1))


def _fit(plane: Plane, edge: int) -> np.ndarray:
    """A plane on a black square of so many pixels, in true proportions."""
    scale = edge / max(plane.size)
    height, width = (max(1, round(length * scale)) for length in plane.size)
    picture = Image.fromarray(np.rint(plane.pixels).clip(0, 255).astype(np.uint8))
    picture = picture.resize((width, height), _RESIZE[height > plane.pixels.shape[0]])
    square = np.zeros((edge, edge), dtype=np.uint8)
    top, left = (edge - height) // 2, (edge - width) // 2
    square[top : top + height, left : left + width] = np.asarray(picture)
    return square


def _uri(pixels: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
