"""Reconstruct images from many coils: aliasing, SENSE, and the combination of channels.

A reconstruction is a matrix U at each voxel, from the V channels of the aliased image to the M channels of the result:
one for SENSE and for combinations with weights, all of them for the root of the sum of squares, which is taken later.
Noise goes through the same matrix; that is the g-factor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import ndimage

from mri_denoise.simulation.scanner_coils import Channels, SmoothField
from mri_denoise.simulation.scanner_noise import power, sum_products

_LEAST = 1e-4  # squared sensitivity that still counts; 1 is the average over the head


def fold(images: np.ndarray, acceleration: int) -> np.ndarray:
    """Alias images, as if only each ``acceleration``-th line of k-space had been acquired.

    Args:
        images: shape (..., W), W a multiple of ``acceleration``.
        acceleration: reduction factor R.

    Returns:
        shape (..., W / R), the mean of the R parts.
    """
    if acceleration == 1:
        return images
    return images.reshape(*images.shape[:-1], acceleration, -1).mean(axis=-2)


def unfold(folded: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Apply U at each voxel.

    Args:
        folded: shape (V, H, W / R).
        weights: U, shape (M, V, H, W).

    Returns:
        shape (M, H, W).
    """
    repeats = weights.shape[-1] // folded.shape[-1]
    full = np.concatenate([folded] * repeats, axis=-1) if repeats > 1 else folded
    return np.stack([sum_products(row, full) for row in weights])


class Reconstruction(Protocol):
    """A reconstruction of slices."""

    def weights(self, z: int, seen: np.ndarray) -> np.ndarray:
        """Return U in slice ``z``, (M, V, H, W), from the sensitivities there (V, H, W)."""
        ...


@dataclass(frozen=True, kw_only=True)
class Sense:
    """SENSE: the least squares solution with known sensitivities.

    With the sensitivities S of the voxels that alias onto one another, U = R (S^H S + L)^-1 S^H (K. P. Pruessmann et
    al. 1999, https://doi.org/10.1002/(SICI)1522-2594(199911)42:5%3C952::AID-MRM16%3E3.0.CO;2-S, with channels
    prewhitened). L is 0, or the noise variance over the signal power of a reference scan
    (F.-H. Lin et al. 2004, https://doi.org/10.1002/mrm.10718). Without acceleration it is the combination that
    makes the image even.

    Args:
        acceleration: reduction factor R.
        prior: L, shape (Z, H, W), or None.
    """

    acceleration: int
    prior: np.ndarray | None = None

    def weights(self, z: int, seen: np.ndarray) -> np.ndarray:
        """Return U in slice ``z``, (1, V, H, W)."""
        channels, rows, columns = seen.shape
        factor = self.acceleration
        parts = seen.reshape(channels, rows, factor, columns // factor)
        gram = np.empty((factor, factor, rows, columns // factor), np.complex64)
        for i in range(factor):
            for j in range(i, factor):
                gram[i, j] = sum_products(parts[:, :, i].conj(), parts[:, :, j])
                gram[j, i] = gram[i, j].conj()
            gram[i, i] += np.float32(_LEAST)  # keeps the matrix regular far outside of the coils
            if self.prior is not None:
                gram[i, i] += self.prior[z].reshape(rows, factor, -1)[:, i]
        inverse = invert(gram) * np.float32(factor)
        found = np.empty_like(parts)
        for i in range(factor):
            found[:, :, i] = sum(inverse[i, j] * parts[:, :, j].conj() for j in range(factor))
        return found.reshape(1, channels, rows, columns)


def invert(matrices: np.ndarray) -> np.ndarray:
    """Invert many small positive definite matrices, by elimination in all of them at once.

    Args:
        matrices: shape (R, R, ...).

    Returns:
        the inverses, in the same shape.
    """
    size = len(matrices)
    left = matrices.copy()
    right = np.zeros_like(left)
    right[np.arange(size), np.arange(size)] = 1
    for i in range(size):
        pivot = 1 / left[i, i]
        left[i] *= pivot
        right[i] *= pivot
        for j in range(size):
            if j != i:
                factor = left[j, i].copy()
                left[j] -= factor * left[i]
                right[j] -= factor * right[i]
    return right


def reference_prior(signal: np.ndarray, level: float, strength: float) -> np.ndarray:
    """Compute L of :class:`Sense`: the noise variance over the signal power of a smooth reference scan.

    Args:
        signal: noise-free image, shape (Z, H, W).
        level: sigma as a share of the maximum.
        strength: 1 for the least mean squared error.

    Returns:
        float32, in the shape of ``signal``.
    """
    peak = max(float(signal.max(initial=0)), 1e-30)
    widths = [min(3.0, n / 8) for n in signal.shape]
    squares = np.square(ndimage.gaussian_filter(signal / np.float32(peak), widths))
    return (strength * level**2 / (squares + np.float32(0.02**2))).astype(np.float32)


class Combination(Protocol):
    """Weights that combine the channels into one image."""

    def rows(self, z: int, seen: np.ndarray) -> np.ndarray:
        """Return the weights in slice ``z``, (V, H, W), from the sensitivities there (V, H, W)."""
        ...


@dataclass(frozen=True, kw_only=True)
class Matched:
    """The matched filter d^H, d the unit vector of the signal among the channels (P. B. Roemer et al. 1990).

    The noise of the result is as even as that of the channels; its brightness follows the sensitivities.

    Args:
        directions: d at each voxel.
    """

    directions: SmoothField

    def rows(self, z: int, seen: np.ndarray) -> np.ndarray:
        """Return d^H in slice ``z``."""
        found = self.directions.slice(z)
        found /= np.sqrt(power(found)).clip(1e-12)
        return found.conj()


class Even:
    """The matched filter, divided by the root of the sum of squared sensitivities: even brightness, uneven noise."""

    def rows(self, z: int, seen: np.ndarray) -> np.ndarray:
        """Return S^H / (S^H S) in slice ``z``."""
        return seen.conj() / (power(seen) + np.float32(_LEAST))


@dataclass(frozen=True, kw_only=True)
class Combined:
    """The combination of channels that were not accelerated.

    Args:
        combination: the weights.
    """

    combination: Combination

    def weights(self, z: int, seen: np.ndarray) -> np.ndarray:
        """Return U in slice ``z``, (1, V, H, W)."""
        return self.combination.rows(z, seen)[None]


def walsh_directions(channels: Channels, signal: np.ndarray, level: float) -> SmoothField:
    """Compute the directions of the adaptive combination: the first eigenvector of the channels' local correlation.

    D. O. Walsh, A. F. Gmitro and M. W. Marcellin, "Adaptive reconstruction of phased array MR imagery" (2000),
    https://doi.org/10.1002/(SICI)1522-2594(200005)43:5%3C682::AID-MRM10%3E3.0.CO;2-G. The correlation is that of a
    reference scan, averaged over about 20 mm. Around the head it is that of the nearest tissue; where there is only
    noise, the directions are those of the sensitivities.

    Args:
        channels: with their sensitivities.
        signal: noise-free image, shape (Z, H, W).
        level: sigma as a share of the maximum.
    """
    seen = channels.sensitivities.values
    weight = channels.points.average(np.square(signal)) / max(float(np.square(signal).max(initial=0)), 1e-30)
    correlation = weight * seen[:, None] * seen[None].conj()
    correlation = ndimage.gaussian_filter(correlation, (0, 0, 0.8, 0.8, 0.8))
    found = seen / np.sqrt(power(seen)).clip(1e-12)
    start = found
    for _ in range(6):
        found = np.einsum("lkzhw,kzhw->lzhw", correlation, found) + np.float32(level**2 / 100) * start
        found /= np.sqrt(power(found)).clip(1e-12)
    return channels.sensitivities.with_values(found)
