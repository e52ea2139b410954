"""Images that a scanner interpolated: how much of k-space was measured, and the image on the grid of its measurement.

Zero-filling leaves the outer part of k-space empty. Neighbouring voxels then share their noise, and it has nothing
left of the highest frequencies, where a filter for noise listens. On the measured grid it is white again, as strong.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

_LEAST = 48  # voxels along an axis, below which its spectrum is too coarse to tell
_LEAST_SAMPLES = 200  # of the spectrum in each mean, below which chance makes a drop
_DROP = 0.38  # decades, see below; up to 0.35 where smooth anatomy or a soft filter lets the spectrum fall
_INNERMOST = 0.4  # where anatomy itself falls steeply


def measured_bands(slices: np.ndarray) -> tuple[float, float]:
    """The shares of k-space along the two axes of a slice, 0 to 1, outside of which the image is empty.

    The power spectrum of an image falls ever more slowly towards high frequencies and ends in the level of the noise;
    that of an interpolated one falls steeply once more, where the measured part ends. Looked for is the frequency at
    which the logarithm of the power drops by more, over a tenth of the spectrum, than it did over the tenth before. A
    smooth window inside the foreground keeps out the edge of a mask, which is sharp whatever happened before.

    Args:
        slices: magnitudes, shape (X, Y, slices); NaN counts as 0.

    Returns:
        The shares along X and Y; 1 where there is no such drop, or too few voxels to tell.
    """
    slices = np.nan_to_num(slices)
    window = _window(slices)[..., None]
    every = slice(None, None, 3)  # enough lines for an average
    along_x = slices[:, every, every] * window[:, every]
    along_y = slices[every, :, every] * window[every]
    return _measured_share(along_x), _measured_share(along_y.swapaxes(0, 1))


def measured_grid(slices: np.ndarray, bands: Sequence[float]) -> np.ndarray:
    """Slices without the empty part of their k-space: on fewer pixels, of the same brightness.

    Args:
        slices: shape (X, Y, slices); 0 and NaN (masked) come out as 0.
        bands: share of k-space that was measured along X and Y (:func:`measured_bands`).

    Returns:
        float32, ``bands`` times as many pixels, even numbers of them.
    """
    from scipy.signal import resample  # takes its time, and few images need it

    found = np.nan_to_num(slices)
    for axis, band in enumerate(bands):
        length = found.shape[axis]
        count = 2 * int(band * length / 2)
        if band == 1 or count >= length:
            continue
        masked = np.take(found == 0, np.arange(count) * length // count, axis)
        found = np.where(masked, np.float32(0), resample(found, count, axis=axis))
    return found


def _measured_share(lines: np.ndarray) -> float:
    """The measured share of k-space along the first of three axes."""
    if len(lines) < _LEAST:
        return 1.0
    power = np.square(np.abs(np.fft.rfft(lines, axis=0))).mean(axis=(1, 2), dtype=np.float64)
    count = len(power) - 1
    width = max(3, count // 24)
    if not power[1:].any() or lines[0].size * width < _LEAST_SAMPLES:
        return 1.0
    level = ndimage.uniform_filter1d(power, width, mode="nearest")
    level = np.log10(level + 1e-12 * level.max())
    step = max(1, round(0.05 * count))
    at = np.arange(max(round(_INNERMOST * count), 3 * step), count - step + 1)
    drop = 2 * level[at - step] - level[at + step] - level[at - 3 * step]
    found = int(np.argmax(drop))
    return float((at[found] - step) / count) if drop[found] > _DROP else 1.0


def _window(slices: np.ndarray) -> np.ndarray:
    """Weights of the pixels of a slice: 1 inside of the foreground, 0 some pixels before its edge."""
    mean = slices.mean(axis=2)
    inside = mean > 0.3 * np.percentile(mean, 95)
    inside = ndimage.binary_erosion(ndimage.binary_fill_holes(inside), iterations=4)
    return ndimage.gaussian_filter(inside.astype(np.float32), 3)
