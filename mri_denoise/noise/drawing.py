"""Noise drawn with the correlation that a volume's own noise has."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F


def noise_filters(correlation: np.ndarray) -> np.ndarray:
    """Filters along the three axes that make white noise like that of a volume.

    Args:
        correlation: of :func:`~mri_denoise.noise.correlation.noise_correlation`.

    Returns:
        float32, shape (3, 2 ``REACH`` + 1); 1 in the middle and 0 elsewhere for white noise.
    """
    return np.stack([filter_of(row) for row in correlation]).astype(np.float32)


def filter_of(correlation: np.ndarray) -> np.ndarray:
    """The symmetric filter that gives white noise this correlation: the square root of its spectrum.

    Args:
        correlation: at lags 0 to R, 1 at lag 0.

    Returns:
        shape (2 R + 1,), sum of squares 1, so that white noise keeps its variance.
    """
    reach, length = len(correlation) - 1, 64
    wrapped = np.zeros(length)
    wrapped[: reach + 1] = correlation
    wrapped[length - reach :] = correlation[:0:-1]
    spectrum = np.clip(np.fft.fft(wrapped).real, 0, None)
    kernel = np.fft.fftshift(np.fft.ifft(np.sqrt(spectrum)).real)[length // 2 - reach : length // 2 + reach + 1]
    return kernel / np.sqrt(np.square(kernel).sum())


def draw_noise(
    shape: tuple[int, int, int, int], filters: torch.Tensor, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Gaussian noise of variance 1, correlated along the last three axes.

    Args:
        shape: (N, slices, H, W).
        filters: shape (N, 3, odd length), for each item along slices, rows and columns, as :func:`noise_filters` gives.
        generator: on the CPU; None is torch's own.

    Returns:
        float32 of that shape, on the device of ``filters``.
    """
    more = filters.shape[-1] - 1
    n, *rest = shape
    noise = torch.randn(n, *(length + more for length in rest), generator=generator).to(filters.device)
    for axis in range(3):
        last = noise.movedim(1 + axis, -1)
        lines = last.reshape(n, -1, last.shape[-1]).transpose(0, 1)
        lines = F.conv1d(lines, filters[:, axis : axis + 1], groups=n).transpose(0, 1)
        noise = lines.reshape(*last.shape[:-1], -1).movedim(-1, 1 + axis)
    return noise
