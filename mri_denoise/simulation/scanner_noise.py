"""The noise that a reconstruction leaves at each voxel, and the values that zero signal takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

_COUNTS = np.linspace(1, 64, 2048)
_CHI_MEAN = np.sqrt(2) * np.exp(gammaln(_COUNTS + 0.5) - gammaln(_COUNTS))


@dataclass(frozen=True, kw_only=True)
class Variances:
    """Variances of the real part of the noise in a slice, shape (H, W), for noise of unit level.

    Args:
        along: of the combined image; for the root of the sum of squares, of the channels along the signal.
        total: the sum of the channels' variances.
        count: the effective number of independent channels.
    """

    along: np.ndarray
    total: np.ndarray
    count: np.ndarray


def one_channel(weights: np.ndarray, root: np.ndarray, acceleration: int) -> Variances:
    """Compute the variances of channels that are combined by weights: U C U^H, C the channels' covariance.

    Args:
        weights: U, shape (V, H, W).
        root: (V, V), C = root root^H.
        acceleration: reduction factor R: the aliased image has 1 / R of the variance.
    """
    mixed = np.tensordot(root.T, weights, axes=1)
    along = power(mixed) / np.float32(acceleration)
    return Variances(along=along, total=along, count=np.ones_like(along))


class ManyChannels:
    """The variances of channels of which the root of the sum of squares is taken.

    Args:
        root: (V, V), the root of the channels' covariance.
        acceleration: reduction factor R.
    """

    def __init__(self, root: np.ndarray, acceleration: int) -> None:
        self.root, self.acceleration = root, acceleration
        self._known: tuple[np.ndarray | None, np.ndarray, np.ndarray] | None = None

    def variances(self, weights: np.ndarray | None, direction: np.ndarray) -> Variances:
        """Compute the variances in a slice.

        Args:
            weights: U, shape (V, V, H, W); None is the identity.
            direction: the signal of the channels, any length, shape (V, H, W).
        """
        unit = direction.conj() / np.sqrt(power(direction)).clip(1e-30)
        mixed = unit
        if weights is not None:
            mixed = np.stack([sum_products(unit, weights[:, k]) for k in range(weights.shape[1])])
        along = power(np.tensordot(self.root.T, mixed, axes=1)) / np.float32(self.acceleration)
        if self._known is None or self._known[0] is not weights:  # slices may share a matrix
            self._known = weights, *self._all_directions(weights)
        total, count = (np.broadcast_to(a, along.shape) for a in self._known[1:])
        return Variances(along=along, total=total, count=count)

    def _all_directions(self, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Compute tr(C) and tr(C)^2 / tr(C^2), at each second row and column, because they vary slowly."""
        if weights is None:
            mixed = self.root[None, None]
        else:
            mixed = np.moveaxis(weights[:, :, ::2, ::2], (0, 1), (2, 3)) @ self.root
        covariance = mixed @ mixed.conj().swapaxes(-1, -2) / np.float32(self.acceleration)
        total = np.einsum("hwll->hw", covariance).real
        count = np.square(total) / np.square(np.abs(covariance)).sum(axis=(-1, -2)).clip(1e-30)
        if weights is None:
            return total, count
        rows, columns = weights.shape[2:]
        return tuple(a.repeat(2, 0).repeat(2, 1)[:rows, :columns] for a in (total, count))


def floor_moments(total: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute the mean and the standard deviation of the image where the signal is zero.

    Correlated channels act as fewer independent ones (S. Aja-Fernandez and A. Tristan-Vega, "Influence of noise
    correlation in multiple-coil statistical models with sum of squares reconstruction", 2012,
    https://doi.org/10.1002/mrm.23020): with the covariance C, L = tr(C)^2 / tr(C^2) channels of the variance tr(C) / L.
    Their root of the sum of squares has sqrt(2) G(L + 1/2) / G(L) as its mean and 2 L as its second moment, in units of
    one channel (C. D. Constantinides et al. 1997, https://doi.org/10.1002/mrm.1910380524). With one channel it is
    Rayleigh's distribution (H. Gudbjartsson and S. Patz 1995, https://doi.org/10.1002/mrm.1910340618).

    Args:
        total: tr(C), the sum of the variances of the channels' real parts.
        count: L, 1 to 64, in the shape of ``total``.

    Returns:
        mean and standard deviation, float32, in the shape of ``total``.

    Examples:
        >>> import numpy as np
        >>> [round(float(a[0]), 3) for a in floor_moments(np.ones(1), np.ones(1))]
        [1.253, 0.655]
    """
    sigma = np.sqrt(total / count)
    mean = np.interp(count, _COUNTS, _CHI_MEAN).astype(np.float32)
    std = np.sqrt(np.maximum(2 * count - np.square(mean), 0))
    return (sigma * mean).astype(np.float32), (sigma * std).astype(np.float32)


def power(channels: np.ndarray) -> np.ndarray:
    """Sum the squared magnitudes over the first axis."""
    return (np.square(channels.real) + np.square(channels.imag)).sum(axis=0)


def sum_products(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Sum the products of two arrays over the first axis, faster than ``einsum`` for complex numbers."""
    total = left[0] * right[0]
    for one, other in zip(left[1:], right[1:], strict=True):
        total += one * other
    return total
