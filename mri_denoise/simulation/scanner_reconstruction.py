"""From the signals of many coils to images: aliasing, SENSE, GRAPPA, and the combination of channels.

Every reconstruction here is linear up to the last step, so it is a matrix U at each voxel, from the channels of the
aliased image to those of the result: one channel for SENSE and for combinations with weights, all of them for the root
of the sum of squares. Noise goes through the same matrix, which is how g-factors come about.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import fft, ndimage

from mri_denoise.simulation.scanner_coils import Channels, SmoothField

_LINES, _COLUMNS = 4, 5  # the GRAPPA kernel: acquired lines, neighbours along the readout
_REFERENCE_LINES, _REFERENCE_COLUMNS = 32, 64
_LEAST = 1e-4  # squared sensitivity that still counts; 1 is the average over the head
_SLAB = 4  # neighbouring slices that share a kernel


def fold(images: np.ndarray, acceleration: int) -> np.ndarray:
    """Images of every ``acceleration``-th line of k-space: what lies a share of the field of view apart adds up.

    Args:
        images: shape (..., W), W a multiple of ``acceleration``.
        acceleration: reduction factor R.

    Returns:
        shape (..., W / R), the mean of the R parts.
    """
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
    return np.einsum("mkhw,khw->mhw", weights, full)


class Reconstruction(Protocol):
    """A reconstruction, slice by slice."""

    def weights(self, z: int, seen: np.ndarray) -> np.ndarray:
        """U in slice ``z``, (M, V, H, W), given the sensitivities there (V, H, W)."""
        ...


@dataclass(frozen=True, kw_only=True)
class Sense:
    """SENSE: least squares with known sensitivities.

    With the sensitivities S of the voxels that alias onto one another, U = R (S^H S + L)^-1 S^H (K. P. Pruessmann et
    al. 1999, https://doi.org/10.1002/(SICI)1522-2594(199911)42:5%3C952::AID-MRM16%3E3.0.CO;2-S, with channels
    prewhitened). L is 0, or the inverse of the signal power that a reference scan shows, times the noise variance
    (F.-H. Lin et al. 2004, https://doi.org/10.1002/mrm.10718). Without acceleration it is the combination of Roemer
    with an even image.

    Args:
        acceleration: reduction factor R.
        prior: L, shape (Z, H, W), or None.
    """

    acceleration: int
    prior: np.ndarray | None = None

    def weights(self, z: int, seen: np.ndarray) -> np.ndarray:
        """U in slice ``z``, (1, V, H, W)."""
        channels, rows, columns = seen.shape
        factor = self.acceleration
        parts = seen.reshape(channels, rows, factor, columns // factor)
        gram = np.einsum("khiw,khjw->hwij", parts.conj(), parts)
        diagonal = np.arange(factor)
        if self.prior is not None:
            prior = self.prior[z].reshape(rows, factor, -1)
            gram[..., diagonal, diagonal] += np.moveaxis(prior, 1, -1)
        # far outside of the coils next to nothing is seen; keep the matrix invertible
        gram[..., diagonal, diagonal] += np.float32(_LEAST)
        inverse = np.linalg.inv(gram)
        found = np.einsum("hwij,khjw->khiw", inverse, parts.conj()) * np.float32(factor)
        return found.reshape(1, channels, rows, columns)


def reference_prior(signal: np.ndarray, level: float, strength: float) -> np.ndarray:
    """L of :class:`Sense`: noise variance over the signal power of a smooth reference scan.

    Args:
        signal: noise-free image, shape (Z, H, W).
        level: sigma as a share of the maximum.
        strength: 1 for the least mean squared error.

    Returns:
        float32, in the shape of ``signal``.
    """
    peak = max(float(signal.max(initial=0)), 1e-30)
    widths = [min(3.0, n / 8) for n in signal.shape]
    power = np.square(ndimage.gaussian_filter(signal / np.float32(peak), widths))
    return (strength * level**2 / (power + np.float32(0.02**2))).astype(np.float32)


class Combination(Protocol):
    """Weights that make one image of the channels' images."""

    def rows(self, z: int, seen: np.ndarray) -> np.ndarray:
        """Weights in slice ``z``, (V, H, W), given the sensitivities there (V, H, W)."""
        ...


@dataclass(frozen=True, kw_only=True)
class Matched:
    """The matched filter d^H, d the unit vector of the signal among the channels (P. B. Roemer et al. 1990).

    The noise of the result is as even as that of the channels, its brightness is what the coils see.

    Args:
        directions: d at each voxel.
    """

    directions: SmoothField

    def rows(self, z: int, seen: np.ndarray) -> np.ndarray:
        """d^H in slice ``z``."""
        found = self.directions.slice(z)
        found /= np.sqrt(np.square(np.abs(found)).sum(axis=0)).clip(1e-12)
        return found.conj()


class Even:
    """The matched filter over the sensitivities' root of the sum of squares: the brightness is even, the noise not."""

    def rows(self, z: int, seen: np.ndarray) -> np.ndarray:
        """S^H / (S^H S) in slice ``z``."""
        return seen.conj() / (np.square(np.abs(seen)).sum(axis=0) + np.float32(_LEAST))


@dataclass(frozen=True, kw_only=True)
class Combined:
    """Channels without acceleration, combined.

    Args:
        combination: the weights.
    """

    combination: Combination

    def weights(self, z: int, seen: np.ndarray) -> np.ndarray:
        """U in slice ``z``, (1, V, H, W)."""
        return self.combination.rows(z, seen)[None]


def walsh_directions(channels: Channels, signal: np.ndarray, level: float) -> SmoothField:
    """Directions of the adaptive combination: the largest eigenvector of the local correlation of the channels.

    D. O. Walsh, A. F. Gmitro and M. W. Marcellin, "Adaptive reconstruction of phased array MR imagery" (2000),
    https://doi.org/10.1002/(SICI)1522-2594(200005)43:5%3C682::AID-MRM10%3E3.0.CO;2-G. The correlation is that of a
    reference scan, averaged over about 20 mm; around the head it is that of the nearest tissue, and where there is only
    noise, the sensitivities decide.

    Args:
        channels: with their sensitivities.
        signal: noise-free image, shape (Z, H, W).
        level: sigma as a share of the maximum.
    """
    seen = channels.sensitivities.values
    power = channels.points.average(np.square(signal)) / max(float(np.square(signal).max(initial=0)), 1e-30)
    correlation = power * seen[:, None] * seen[None].conj()
    correlation = ndimage.gaussian_filter(correlation, (0, 0, 0.8, 0.8, 0.8))
    found = seen / np.sqrt(np.square(np.abs(seen)).sum(axis=0)).clip(1e-12)
    start = found
    for _ in range(6):
        found = np.einsum("lkzhw,kzhw->lzhw", correlation, found) + np.float32(level**2 / 100) * start
        found /= np.sqrt(np.square(np.abs(found)).sum(axis=0)).clip(1e-12)
    return channels.sensitivities.with_values(found)


class Grappa:
    """GRAPPA: missing lines of k-space are sums over neighbouring lines of all channels.

    M. A. Griswold et al. (2002), https://doi.org/10.1002/mrm.10171. The kernel is fitted to reference lines that a
    separate scan shows, with the noise of that scan as regularisation, and applied in image space, where it is a
    matrix at each voxel (F. A. Breuer et al. 2009, "General formulation for quantitative g-factor calculation in GRAPPA
    reconstructions", https://doi.org/10.1002/mrm.22066).

    Args:
        acceleration: reduction factor R.
        channels: with their sensitivities.
        signal: complex noise-free image, shape (Z, H, W).
        sigma: of the noise in a channel's image, as the reference scan has it.
        combination: the weights that make one image; None for all channels, with the root of the sum of squares to follow.
    """

    def __init__(
        self,
        acceleration: int,
        channels: Channels,
        signal: np.ndarray,
        sigma: float,
        combination: Combination | None = None,
    ) -> None:
        self.acceleration, self.channels, self.combination = acceleration, channels, combination
        self.signal, self.sigma = signal, sigma
        self._kernel: tuple[int, np.ndarray] | None = None

    def weights(self, z: int, seen: np.ndarray) -> np.ndarray:
        """U in slice ``z``, (M, V, H, W)."""
        slab = z // _SLAB
        if self._kernel is None or self._kernel[0] != slab:
            middle = min(slab * _SLAB + _SLAB // 2, len(self.signal) - 1)
            images = self.channels.sensitivities.slice(middle) * self.signal[middle]
            self._kernel = slab, grappa_weights(images, self.acceleration, self.sigma)
        weights = self._kernel[1]
        if self.combination is None:
            return weights
        return np.einsum("lhw,lkhw->khw", self.combination.rows(z, seen), weights)[None]


def grappa_weights(images: np.ndarray, acceleration: int, sigma: float) -> np.ndarray:
    """U of GRAPPA for all channels.

    Args:
        images: noise-free images of the V channels, complex, shape (V, H, W).
        acceleration: reduction factor R.
        sigma: noise of the reference scan in these images.

    Returns:
        complex64, shape (V, V, H, W).
    """
    channels, rows, columns = images.shape
    lines = min(_REFERENCE_LINES, columns)
    width = min(_REFERENCE_COLUMNS, rows)
    spectrum = fft.fftshift(fft.fft2(images), axes=(1, 2))
    centre = spectrum[
        :,
        rows // 2 - width // 2 : rows // 2 - width // 2 + width,
        columns // 2 - lines // 2 : columns // 2 - lines // 2 + lines,
    ]
    noise = sigma**2 * rows * columns * 2 / 10  # variance; reference scans have less noise
    across = np.arange(rows)
    along = np.arange(columns)
    result = np.zeros((channels, channels, rows, columns), np.complex64)
    result[np.arange(channels), np.arange(channels)] = 1
    offsets_x = np.arange(_COLUMNS) - _COLUMNS // 2
    basis_x = np.exp(-2j * np.pi * np.outer(across, offsets_x) / rows).astype(np.complex64)
    for missing in range(1, acceleration):
        offsets_y = acceleration * (np.arange(_LINES) - _LINES // 2 + 1) - missing
        kernel = _fit_kernel(centre, offsets_y, offsets_x, noise)
        basis_y = np.exp(-2j * np.pi * np.outer(along, offsets_y) / columns).astype(np.complex64)
        result += basis_x @ (kernel @ basis_y.T)
    return result


def _fit_kernel(centre: np.ndarray, offsets_y: np.ndarray, offsets_x: np.ndarray, noise: float) -> np.ndarray:
    """Least squares fit of each channel's points by their neighbours in all channels: (V, V, columns, lines)."""
    channels, width, lines = centre.shape
    x = np.arange(-offsets_x.min(), width - offsets_x.max())
    y = np.arange(-offsets_y.min(), lines - offsets_y.max())
    target = centre[:, x[:, None], y[None]].reshape(channels, -1)
    source = np.stack([centre[:, x[:, None] + i, y[None] + j] for i in offsets_x for j in offsets_y], axis=1)
    source = source.reshape(channels * len(offsets_x) * len(offsets_y), -1)
    gram = source @ source.conj().T
    gram[np.diag_indices(len(gram))] += source.shape[1] * noise + 1e-6 * np.trace(gram).real / len(gram) + 1e-30
    kernel = np.linalg.solve(gram.T, (target @ source.conj().T).T).T
    return kernel.reshape(channels, channels, len(offsets_x), len(offsets_y)).astype(np.complex64)
