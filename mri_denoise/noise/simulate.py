"""Simulated noise: salt-and-pepper, Rician and non-central chi, with given parameters and a given generator.

The transforms that choose the parameters are in ``salt_pepper.py`` and ``rician.py``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

Level = float | Sequence[float]


def add_salt_pepper(
    image: np.ndarray,
    density: float,
    rng: np.random.Generator,
    salt_share: float = 0.5,
    pepper: float = 0.0,
    salt: float = 1.0,
) -> np.ndarray:
    """Replace a share ``density`` of the pixels, chosen independently, by ``salt`` or ``pepper``.

    Args:
        image: any shape.
        density: share of pixels replaced, 0 to 1.
        rng: source of randomness.
        salt_share: share of salt among the replaced pixels, 0 to 1.
        pepper: value of black.
        salt: value of white.

    Returns:
        a new array of the image's shape and dtype.

    Raises:
        ValueError: if ``density`` or ``salt_share`` is outside of [0, 1].
    """
    if not 0 <= density <= 1 or not 0 <= salt_share <= 1:
        raise ValueError(f"density and salt_share must lie in [0, 1], got {density} and {salt_share}.")
    chance = rng.random(image.shape, dtype=np.float32)
    out = image.copy()
    out[chance < density] = pepper
    out[chance < density * salt_share] = salt
    return out


def limit_band(noise: np.ndarray, fraction: float) -> np.ndarray:
    """White noise without its high frequencies in plane, as zero-filling of k-space leaves it, at the same variance.

    Args:
        noise: shape (..., H, W), independent values of one variance.
        fraction: share of each axis of k-space that was measured, above 0 and at most 1.

    Returns:
        float32 array of the same shape and expected variance, neighbouring values of which are correlated.
    """
    if fraction >= 1:
        return noise
    height, width = noise.shape[-2:]
    rows = np.abs(np.fft.fftfreq(height)) <= fraction / 2
    columns = np.fft.rfftfreq(width) <= fraction / 2
    keep = rows[:, None] & columns[None]
    kept = rows.mean() * (np.abs(np.fft.fftfreq(width)) <= fraction / 2).mean()
    filtered = np.fft.irfft2(np.fft.rfft2(noise) * keep, s=(height, width))
    return (filtered / np.sqrt(kept)).astype(np.float32)


def add_rician(
    image: np.ndarray, sigma: float | np.ndarray, rng: np.random.Generator, coils: int = 1, band: float = 1.0
) -> np.ndarray:
    """Magnitude of a complex image with Gaussian noise of standard deviation ``sigma`` in real and imaginary part.

    ``sqrt((image + sigma g1)^2 + (sigma g2)^2)`` (Gudbjartsson and Patz, 1995, https://doi.org/10.1002/mrm.1910340618).
    With more than one coil the root of the sum of squares over all of them follows the non-central chi law with
    2 ``coils`` degrees of freedom (Constantinides et al., 1997, https://doi.org/10.1002/mrm.1910380524), here with the
    signal in the first channel, which gives the same law as any other share of it.

    Args:
        image: any shape, signal without noise.
        sigma: in the image's units; an array that broadcasts to the image (a g-factor map times a level) for parallel
            imaging.
        rng: source of randomness; the first draws are those of the real part.
        coils: number of receiver channels; 1 is Rician.
        band: below 1, the noise is correlated between neighbours of the last two axes (:func:`limit_band`).

    Returns:
        float32 array of the image's shape.

    Raises:
        ValueError: if a sigma is negative or ``coils`` is less than 1.
    """
    if np.any(np.asarray(sigma) < 0) or coils < 1:
        raise ValueError("sigma must not be negative and coils must be at least 1.")
    level = np.asarray(sigma, dtype=np.float32)
    real = image + level * limit_band(rng.standard_normal(image.shape, dtype=np.float32), band)
    power = real * real
    for _ in range(2 * coils - 1):
        part = level * limit_band(rng.standard_normal(image.shape, dtype=np.float32), band)
        power += part * part
    return np.sqrt(power, dtype=np.float32)


def smooth_field(shape: Sequence[int], rng: np.random.Generator, low: float, high: float, knots: int = 4) -> np.ndarray:
    """A random smooth field over ``shape`` with values in [``low``, ``high``], like a map of g-factors."""
    coarse = torch.from_numpy(rng.uniform(low, high, (1, 1, *(min(knots, n) for n in shape))).astype(np.float32))
    mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[len(shape)]
    return F.interpolate(coarse, size=tuple(shape), mode=mode, align_corners=True)[0, 0].numpy()


def choose_level(level: Level, rng: np.random.RandomState, choices: bool, power: float = 1.0) -> float:
    """One level: ``level`` itself, one of its choices, or from the range low + (high - low) u^power."""
    if not isinstance(level, Sequence):
        return float(level)
    if choices:
        return float(level[rng.randint(len(level))])
    low, high = level
    return float(low + (high - low) * rng.uniform() ** power)
