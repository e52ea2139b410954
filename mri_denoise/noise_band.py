"""Images that a scanner interpolated: how much of k-space was measured, and the image on the grid of its measurement.

Zero-filling leaves the outer part of k-space empty. Neighbouring voxels then share their noise, and it has nothing
left of the highest frequencies, where a filter for noise listens. On the measured grid it is white again, as strong.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

_LEAST = 48  # voxels along an axis, below which its spectrum is too coarse to tell
_DROP = 0.38  # decades, see below; up to 0.35 where smooth anatomy or a soft filter lets the spectrum fall
_INNERMOST = 0.4  # where anatomy itself falls steeply


def measured_band(data: np.ndarray, axis: int) -> float:
    """The share of k-space along an axis, 0 to 1, outside of which the image is empty.

    The power spectrum of an image falls ever more slowly towards high frequencies and ends in the level of the noise;
    that of an interpolated one falls steeply once more, where the measured part ends. Looked for is the frequency at
    which the logarithm of the power drops by more, over a tenth of the spectrum, than it did over the tenth before. A
    smooth window inside the foreground keeps out the edge of a mask, which is sharp whatever happened before.

    Args:
        data: magnitudes, slices last, shape (X, Y, Z); NaN counts as 0.
        axis: 0 or 1.

    Returns:
        The share; 1 where there is no such drop, or too few voxels to tell.
    """
    if data.shape[axis] < _LEAST:
        return 1.0
    data = np.nan_to_num(data)
    data *= _window(data)[..., None]
    lines = data[:, ::3, ::3] if axis == 0 else data[::3, :, ::3]  # enough of them for an average
    power = np.square(np.abs(np.fft.rfft(lines, axis=axis))).mean(axis=(1 - axis, 2), dtype=np.float64)
    count = len(power) - 1
    if not power[1:].any():
        return 1.0
    level = ndimage.uniform_filter1d(power, max(3, count // 24), mode="nearest")
    level = np.log10(level + 1e-12 * level.max())
    step = max(1, round(0.05 * count))
    at = np.arange(max(round(_INNERMOST * count), 3 * step), count - step + 1)
    drop = 2 * level[at - step] - level[at + step] - level[at - 3 * step]
    found = int(np.argmax(drop))
    return float((at[found] - step) / count) if drop[found] > _DROP else 1.0


def measured_grid(data: np.ndarray, bands: Sequence[float]) -> np.ndarray:
    """Slices without the empty part of their k-space: on fewer pixels, of the same brightness.

    Args:
        data: slices last, shape (X, Y, Z); 0 and NaN (masked) come out as 0.
        bands: share of k-space that was measured along X and Y (:func:`measured_band`).

    Returns:
        float32, ``bands`` times as many pixels, even numbers of them.
    """
    found = np.nan_to_num(data)
    for axis, band in enumerate(bands):
        length = data.shape[axis]
        count = 2 * int(band * length / 2)
        if band == 1 or count >= length:
            continue
        masked = np.take(found == 0, np.arange(count) * length // count, axis)
        spectrum = np.fft.rfft(found, axis=axis).take(range(count // 2 + 1), axis=axis)
        found = np.fft.irfft(spectrum * (count / length), count, axis=axis).astype(np.float32)
        found[masked] = 0
    return found


def _window(data: np.ndarray) -> np.ndarray:
    """Weights of the pixels of a slice: 1 inside of the foreground, 0 some pixels before its edge."""
    mean = data.mean(axis=2)
    inside = mean > 0.3 * np.percentile(mean, 95)
    inside = ndimage.binary_erosion(ndimage.binary_fill_holes(inside), iterations=4)
    return ndimage.gaussian_filter(inside.astype(np.float32), 3)
