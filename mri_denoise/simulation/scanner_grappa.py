"""GRAPPA: missing lines of k-space as weighted sums of neighbouring lines of all channels.

M. A. Griswold et al. (2002), https://doi.org/10.1002/mrm.10171. The kernel is fitted to the reference lines of a
separate scan, with the noise of that scan as regularisation, and applied in image space, where it is a matrix at each
voxel (F. A. Breuer et al. 2009, "General formulation for quantitative g-factor calculation in GRAPPA reconstructions",
https://doi.org/10.1002/mrm.22066).
"""

from __future__ import annotations

import numpy as np
from scipy import fft

from mri_denoise.simulation.scanner_coils import Channels
from mri_denoise.simulation.scanner_noise import sum_products
from mri_denoise.simulation.scanner_reconstruction import Combination

_LINES, _COLUMNS = 4, 5  # the kernel: acquired lines, neighbours along the readout
_REFERENCE_LINES, _REFERENCE_COLUMNS = 32, 64
_SLAB = 4.0  # mm of neighbouring slices that share a kernel


class Grappa:
    """GRAPPA with one kernel for each few slices.

    Args:
        acceleration: reduction factor R.
        channels: with their sensitivities.
        signal: complex noise-free image, shape (Z, H, W).
        thickness: of a slice in mm.
        sigma: of the noise in a channel's image, as the reference scan has it.
        combination: the weights that make one image; None for all channels, of which the root of the sum of squares is
            taken later.
    """

    def __init__(
        self,
        *,
        acceleration: int,
        channels: Channels,
        signal: np.ndarray,
        thickness: float,
        sigma: float,
        combination: Combination | None = None,
    ) -> None:
        self.acceleration, self.channels, self.combination = acceleration, channels, combination
        self.signal, self.sigma = signal, sigma
        self.slab = max(1, round(_SLAB / thickness))
        self._kernel: tuple[int, np.ndarray] | None = None

    def weights(self, z: int, seen: np.ndarray) -> np.ndarray:
        """Return U in slice ``z``, (M, V, H, W), from the sensitivities there (V, H, W)."""
        slab = z // self.slab
        if self._kernel is None or self._kernel[0] != slab:
            middle = min(slab * self.slab + self.slab // 2, len(self.signal) - 1)
            images = self.channels.sensitivities.slice(middle) * self.signal[middle]
            self._kernel = slab, grappa_weights(images, self.acceleration, self.sigma)
        weights = self._kernel[1]
        if self.combination is None:
            return weights
        rows = self.combination.rows(z, seen)
        return np.stack([sum_products(rows, weights[:, k]) for k in range(weights.shape[1])])[None]


def grappa_weights(images: np.ndarray, acceleration: int, sigma: float) -> np.ndarray:
    """Compute U of GRAPPA for all channels.

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
    """Fit each channel's points by their neighbours in all channels (least squares): (V, V, columns, lines)."""
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
