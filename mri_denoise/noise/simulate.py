"""Simulate noise with given parameters and a given source of randomness.

Salt-and-pepper, Rician and non-central chi noise, white, zero-filled or with a measured correlation. The transforms
that choose the parameters at random are in :mod:`mri_denoise.transforms`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

_SPECTRUM = 64  # points of the spectrum of a correlation of a few lags


def add_salt_pepper(
    image: np.ndarray,
    density: float,
    rng: np.random.Generator,
    salt_fraction: float = 0.5,
    pepper: float = 0.0,
    salt: float = 1.0,
) -> np.ndarray:
    """Replace a fraction of the pixels, chosen independently, by black or white.

    Args:
        image: any shape.
        density: fraction of the pixels that is replaced, 0 to 1.
        rng: source of randomness.
        salt_fraction: fraction of salt among the replaced pixels, 0 to 1.
        pepper: value of black.
        salt: value of white.

    Returns:
        a new array of the image's shape and dtype.

    Raises:
        ValueError: if ``density`` or ``salt_fraction`` is outside of [0, 1].
    """
    if not 0 <= density <= 1 or not 0 <= salt_fraction <= 1:
        raise ValueError(f"density and salt_fraction must lie in [0, 1], got {density} and {salt_fraction}.")
    chance = rng.random(image.shape, dtype=np.float32)
    out = image.copy()
    out[chance < density] = pepper
    out[chance < density * salt_fraction] = salt
    return out


def zero_fill(noise: np.ndarray, coverage: float) -> np.ndarray:
    """Remove the high in-plane frequencies of white noise, as zero-filling of k-space does, at the same variance.

    Args:
        noise: shape (..., H, W), independent values of one variance.
        coverage: fraction of each axis of k-space that was acquired, above 0 and at most 1.

    Returns:
        float32 array of the same shape and expected variance, with correlated neighbours; ``noise`` itself if the
        coverage is 1.
    """
    if coverage >= 1:
        return noise
    height, width = noise.shape[-2:]
    rows = np.abs(np.fft.fftfreq(height)) <= coverage / 2
    columns = np.fft.rfftfreq(width) <= coverage / 2
    keep = rows[:, None] & columns[None]
    kept = rows.mean() * (np.abs(np.fft.fftfreq(width)) <= coverage / 2).mean()
    filtered = np.fft.irfft2(np.fft.rfft2(noise) * keep, s=(height, width))
    return (filtered / np.sqrt(kept)).astype(np.float32)


def add_rician(
    image: np.ndarray, sigma: float | np.ndarray, rng: np.random.Generator, coils: int = 1, coverage: float = 1.0
) -> np.ndarray:
    """Add complex Gaussian noise to an image and take the magnitude.

    The result is ``sqrt((image + sigma g1)^2 + (sigma g2)^2)``, which follows Rice's distribution (Gudbjartsson and
    Patz, 1995, https://doi.org/10.1002/mrm.1910340618). With more than one coil, the root of the sum of squares over
    all of them follows the non-central chi distribution with 2 ``coils`` degrees of freedom (Constantinides et al.,
    1997, https://doi.org/10.1002/mrm.1910380524). The signal is in the first channel here; any other division among the
    channels gives the same distribution.

    Args:
        image: any shape, signal without noise.
        sigma: standard deviation of the noise in each channel's real and imaginary part, in the image's units; an array
            that broadcasts to the image (a g-factor map times a level) for parallel imaging.
        rng: source of randomness; the first draws are those of the real part.
        coils: number of receiver channels; 1 is Rician.
        coverage: below 1, the noise is correlated between neighbours of the last two axes (:func:`zero_fill`).

    Returns:
        float32 array of the image's shape.

    Raises:
        ValueError: if a sigma is negative or ``coils`` is less than 1.

    Examples:
        >>> noisy = add_rician(np.full((200, 200), 100.0), 5.0, np.random.default_rng(0))
        >>> round(float(noisy.std()), 1)
        5.0
    """
    if np.any(np.asarray(sigma) < 0) or coils < 1:
        raise ValueError("sigma must not be negative and coils must be at least 1.")
    level = np.asarray(sigma, dtype=np.float32)
    real = image + level * zero_fill(rng.standard_normal(image.shape, dtype=np.float32), coverage)
    power = real * real
    for _ in range(2 * coils - 1):
        part = level * zero_fill(rng.standard_normal(image.shape, dtype=np.float32), coverage)
        power += part * part
    return np.sqrt(power, dtype=np.float32)


def smooth_field(shape: Sequence[int], rng: np.random.Generator, low: float, high: float, knots: int = 4) -> np.ndarray:
    """Make a random smooth field, like a map of g-factors.

    Args:
        shape: one to three axes.
        rng: source of randomness.
        low: lower bound of the values.
        high: upper bound of the values.
        knots: random values along each axis, between which the field is interpolated linearly.

    Returns:
        float32 array of that shape, values in [``low``, ``high``].
    """
    coarse = torch.from_numpy(rng.uniform(low, high, (1, 1, *(min(knots, n) for n in shape))).astype(np.float32))
    mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[len(shape)]
    return F.interpolate(coarse, size=tuple(shape), mode=mode, align_corners=True)[0, 0].numpy()


def noise_filters(correlation: np.ndarray) -> np.ndarray:
    """Make filters along the three axes that give white noise a measured correlation.

    Args:
        correlation: shape (3, R + 1), of :func:`~mri_denoise.noise.correlation.noise_correlation`.

    Returns:
        float32, shape (3, 2 R + 1); for white noise 1 in the middle and 0 elsewhere.
    """
    return np.stack([noise_filter(row) for row in correlation]).astype(np.float32)


def noise_filter(correlation: np.ndarray) -> np.ndarray:
    """Make the symmetric filter that gives white noise this correlation: the square root of its spectrum.

    Args:
        correlation: shape (R + 1,), at lags 0 to R, 1 at lag 0.

    Returns:
        shape (2 R + 1,), sum of squares 1, so that white noise keeps its variance.
    """
    reach = len(correlation) - 1
    wrapped = np.zeros(_SPECTRUM)
    wrapped[: reach + 1] = correlation
    wrapped[_SPECTRUM - reach :] = correlation[:0:-1]
    spectrum = np.clip(np.fft.fft(wrapped).real, 0, None)
    whole = np.fft.fftshift(np.fft.ifft(np.sqrt(spectrum)).real)
    kernel = whole[_SPECTRUM // 2 - reach : _SPECTRUM // 2 + reach + 1]
    return kernel / np.sqrt(np.square(kernel).sum())


def draw_noise(
    shape: tuple[int, int, int, int], filters: torch.Tensor, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Draw Gaussian noise of variance 1 that is correlated along the last three axes.

    Args:
        shape: (N, slices, H, W).
        filters: shape (N, 3, odd length), for each item along slices, rows and columns (:func:`noise_filters`).
        generator: on the CPU; None is torch's own.

    Returns:
        float32 of that shape, on the device of ``filters``.
    """
    margin = filters.shape[-1] - 1
    n, *rest = shape
    noise = torch.randn(n, *(length + margin for length in rest), generator=generator).to(filters.device)
    for axis in range(3):
        last = noise.movedim(1 + axis, -1)
        lines = last.reshape(n, -1, last.shape[-1]).transpose(0, 1)
        lines = F.conv1d(lines, filters[:, axis : axis + 1], groups=n).transpose(0, 1)
        noise = lines.reshape(*last.shape[:-1], -1).movedim(-1, 1 + axis)
    return noise
