"""The part of k-space that a scanner acquires, and its filters.

Both are one transfer function H(k) that multiplies k-space. The variance and the correlation of the noise in the image
follow from |H|^2 (J. S. Bendat and A. G. Piersol,
"Random Data", chapter 6).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

from mri_denoise.simulation.scanner_parameters import ScannerParameters, Window


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """The transfer function of a scanner, in the order of :func:`scipy.fft.fftfreq`.

    Args:
        plane: float32, shape (H, W): readout and phase encoding; None where nothing is changed.
        across: float32, shape (Z,): across slices; None where nothing is changed.
    """

    plane: np.ndarray | None
    across: np.ndarray | None

    @classmethod
    def of(cls, shape: tuple[int, int, int], parameters: ScannerParameters) -> Transfer:
        """Compute the transfer function for volumes of a shape (Z, H, W)."""
        readout = np.abs(fft.fftfreq(shape[1])) * 2 * parameters.zero_filling
        signed = fft.fftfreq(shape[2]) * 2 * parameters.zero_filling
        phase = np.abs(signed)
        radius = np.hypot(readout[:, None], phase[None])
        name, width = parameters.window, parameters.window_width
        if name == "fermi":
            plane = window(radius, name, width)
        else:
            plane = window(readout, name, width)[:, None] * window(phase, name, width)[None]
        plane = plane * (readout <= 1)[:, None] * (phase <= 1)[None]
        if parameters.elliptical:
            plane = plane * (radius <= 1)
        if parameters.partial_fourier < 1:  # lines beyond the centre are missing on one side
            plane = plane * (signed >= 1 - 2 * parameters.partial_fourier)[None]
        across = None
        if parameters.slice_zero_filling > 1 and shape[0] > 3:
            place = np.abs(fft.fftfreq(shape[0])) * 2 * parameters.slice_zero_filling
            across = (window(place, "none" if name == "fermi" else name, width) * (place <= 1)).astype(np.float32)
        return cls(plane=None if np.all(plane == 1) else plane.astype(np.float32), across=across)

    def filter_plane(self, images: np.ndarray) -> np.ndarray:
        """Filter complex images of shape (..., H, W)."""
        if self.plane is None:
            return images
        return fft.ifft2(fft.fft2(images) * self.plane, overwrite_x=True)

    def filter_across(self, volumes: np.ndarray) -> np.ndarray:
        """Filter complex volumes of shape (..., Z, H, W) across slices."""
        if self.across is None:
            return volumes
        spectrum = fft.fft(volumes, axis=-3)
        spectrum *= self.across[:, None, None]
        return fft.ifft(spectrum, axis=-3, overwrite_x=True)

    def spread_plane(self, variance: np.ndarray) -> np.ndarray:
        """Compute the variance of filtered noise: its variance convolved with the squared point spread function.

        Args:
            variance: of uncorrelated noise, shape (..., H, W).
        """
        if self.plane is None:
            return variance
        kernel = np.square(np.abs(fft.ifft2(self.plane))).astype(np.float32)
        gain = fft.rfft2(kernel)
        return np.maximum(fft.irfft2(fft.rfft2(variance) * gain, s=variance.shape[-2:]), 0)

    def spread_across(self, variance: np.ndarray) -> np.ndarray:
        """Compute the variance after the filter across slices, shape (..., Z, H, W)."""
        if self.across is None:
            return variance
        kernel = np.square(np.abs(fft.ifft(self.across))).astype(np.float32)
        gain = fft.rfft(kernel)[:, None, None]
        spread = fft.irfft(fft.rfft(variance, axis=-3) * gain, n=variance.shape[-3], axis=-3)
        return np.maximum(spread, 0)

    def correlation(self, reach: int) -> np.ndarray:
        """Compute the correlation of the real part of filtered noise along the slice, readout and phase axes.

        Args:
            reach: the longest lag in voxels.

        Returns:
            shape (3, ``reach`` + 1), 1 at lag 0.
        """
        lags = np.arange(reach + 1)
        rows = np.eye(1, reach + 1).repeat(3, axis=0)
        power = [self.across]
        power += [None, None] if self.plane is None else [np.sqrt(np.square(self.plane).sum(axis=a)) for a in (1, 0)]
        for row, line in zip(rows, power, strict=True):
            if line is not None:
                waves = np.cos(2 * np.pi * lags[:, None] * fft.fftfreq(len(line)))
                row[:] = waves @ np.square(line.astype(np.float64))
                row /= row[0]
        return rows


def window(place: np.ndarray, name: Window, width: float) -> np.ndarray:
    """Compute a window of k-space.

    Tukey's window is 1 inside and falls as half a cosine at the edge; Hann's falls from the centre (F. J. Harris, "On
    the use of windows", 1978, https://doi.org/10.1109/PROC.1978.10837). The Fermi window is
    1 / (1 + exp((k - k0) / w)) (M. A. Bernstein et al., "Handbook of MRI Pulse Sequences", 2004, section 13.1).

    Args:
        place: distance from the centre of k-space, 1 at the edge of the acquired part.
        name: of the window.
        width: share of the half axis over which the Tukey or Fermi window falls.

    Returns:
        weights from 0 to 1 in the shape of ``place``, also beyond the edge.
    """
    if name == "none":
        return np.ones_like(place)
    if name == "fermi":
        return 1 / (1 + np.exp(np.minimum((place - 1 + width / 2) / (width / 10), 80)))
    share = 1.0 if name == "hann" else width
    beyond = np.clip((place - (1 - share)) / share, 0, 1)
    return 0.5 * (1 + np.cos(np.pi * beyond))


def acquired_shape(shape: tuple[int, int, int], acceleration: int) -> tuple[int, int, int]:
    """Return a matrix size (Z, H, W) that holds a volume and is fast to transform.

    Args:
        shape: of the volume, W the phase-encoded axis.
        acceleration: reduction factor; the result's W is a multiple of it.
    """
    slices, rows, columns = shape
    folded = -(-columns // acceleration)
    return slices, fft.next_fast_len(rows), acceleration * fft.next_fast_len(folded)
