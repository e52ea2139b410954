"""Find out whether a scanner interpolated an image by zero-filling, and undo it.

A scanner that acquires fewer lines than the image has pixels fills the outer part of k-space with zeros. Neighbouring
voxels then share their noise, and it holds nothing of the highest frequencies, on which a high-pass estimate of noise
relies. On the acquired matrix the noise is white again, at the same level.

The coverage is the fraction of k-space, along one axis of the slice, that was acquired: acquired matrix divided by
reconstructed matrix, 1 without zero-filling.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

_LEAST_LENGTH = 48  # voxels along an axis: the spectrum of a shorter one is too coarse
_LEAST_SAMPLES = 200  # of the spectrum in each mean: with fewer, chance makes a drop
_DROP = 0.38  # decades, see find_edges; smooth anatomy and soft filters stay below 0.35
# decades, above which k-space is empty beyond: zero-filled volumes with noise have 1.1 to 2.6, soft filters and partial
# Fourier 0.4 to 1.0
_EMPTY = 1.05
_INNERMOST = 0.4  # where the spectrum of anatomy itself falls steeply


@dataclass(frozen=True, kw_only=True)
class Edge:
    """Where the acquired part of k-space seems to end along one axis.

    Args:
        fraction: of k-space up to there, above 0 and at most 1.
        drop: by how many decades more the power falls there than before; 0 if that cannot be told.
    """

    fraction: float
    drop: float


def find_edges(slices: np.ndarray) -> tuple[Edge, Edge]:
    """Find where the acquired part of k-space seems to end along the two axes of a slice.

    The power spectrum of an image falls ever more slowly towards high frequencies and ends at the level of the noise.
    That of an interpolated image falls steeply once more, where the acquired part ends. The function finds the
    frequency at which the logarithm of the power drops by more, over a tenth of the spectrum, than over the tenth
    before. A smooth window inside the foreground keeps the edge of a mask out of the spectrum: that edge is sharp even
    in an interpolated image.

    Args:
        slices: magnitudes, shape (X, Y, slices); NaN counts as 0.
    """
    slices = np.nan_to_num(slices)
    window = _foreground_window(slices)[..., None]
    every = slice(None, None, 3)  # a third of the lines is enough for an average
    along_x = slices[:, every, every] * window[:, every]
    along_y = slices[every, :, every] * window[every]
    return _edge_along_first(along_x), _edge_along_first(along_y.swapaxes(0, 1))


def coverage_of(edges: tuple[Edge, Edge], *, empty: bool = False) -> tuple[float, float]:
    """Tell the acquired fractions of k-space.

    Args:
        edges: of :func:`find_edges`.
        empty: whether only a drop to next to nothing counts, as zero-filling alone leaves it, and no filter.

    Returns:
        the fractions along X and Y, above 0 and at most 1; 1 if there is no such drop.
    """
    first, second = (edge.fraction if edge.drop > (_EMPTY if empty else _DROP) else 1.0 for edge in edges)
    return first, second


def find_coverage(slices: np.ndarray) -> tuple[float, float]:
    """Find the fraction of k-space that was acquired along the two axes of a slice (:func:`find_edges`).

    Args:
        slices: magnitudes, shape (X, Y, slices); NaN counts as 0.

    Returns:
        the fractions along X and Y, above 0 and at most 1; 1 if it was not zero-filled, or too few voxels to tell.
    """
    return coverage_of(find_edges(slices))


def undo_zero_filling(slices: np.ndarray, coverage: Sequence[float]) -> np.ndarray:
    """Resample slices to the acquired matrix, without the empty part of their k-space.

    Args:
        slices: shape (X, Y, slices); 0 and NaN (masked) come out as 0.
        coverage: fraction of k-space that was acquired along X and Y (:func:`find_coverage`).

    Returns:
        float32, of the same brightness, on ``coverage`` times as many pixels, an even number along each axis.
    """
    from scipy.signal import resample  # slow to import, and few images need it

    found = np.nan_to_num(slices)
    for axis, fraction in enumerate(coverage):
        length = found.shape[axis]
        count = 2 * int(fraction * length / 2)
        if fraction == 1 or count >= length:
            continue
        masked = np.take(found == 0, np.arange(count) * length // count, axis)
        found = np.where(masked, np.float32(0), resample(found, count, axis=axis))
    return found


def _edge_along_first(lines: np.ndarray) -> Edge:
    """Where the acquired part of k-space seems to end along the first of three axes."""
    if len(lines) < _LEAST_LENGTH:
        return Edge(fraction=1.0, drop=0.0)
    power = np.square(np.abs(np.fft.rfft(lines, axis=0))).mean(axis=(1, 2), dtype=np.float64)
    count = len(power) - 1
    width = max(3, count // 24)
    if not power[1:].any() or lines[0].size * width < _LEAST_SAMPLES:
        return Edge(fraction=1.0, drop=0.0)
    level = ndimage.uniform_filter1d(power, width, mode="nearest")
    level = np.log10(level + 1e-12 * level.max())
    step = max(1, round(0.05 * count))
    at = np.arange(max(round(_INNERMOST * count), 3 * step), count - step + 1)
    drop = 2 * level[at - step] - level[at + step] - level[at - 3 * step]
    found = int(np.argmax(drop))
    return Edge(fraction=float((at[found] - step) / count), drop=float(drop[found]))


def _foreground_window(slices: np.ndarray) -> np.ndarray:
    """Weights of the pixels of a slice: 1 inside the foreground, 0 some pixels before its edge."""
    mean = slices.mean(axis=2)
    inside = mean > 0.3 * np.percentile(mean, 95)
    inside = ndimage.binary_erosion(ndimage.binary_fill_holes(inside), iterations=4)
    return ndimage.gaussian_filter(inside.astype(np.float32), 3)
