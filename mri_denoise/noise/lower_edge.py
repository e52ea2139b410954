"""Find the lower edge of the variances of blocks: the level of noise among blocks many of which hold texture as well.

The variance of a block is that of the noise plus that of its texture, times a chi-square variable divided by its
degrees of freedom. The scatter by chance is removed by deconvolution: the nonparametric maximum likelihood estimate of
a mixing distribution (N. Laird, "Nonparametric maximum likelihood estimation of a mixing distribution", 1978), by
expectation maximisation. The remaining distribution starts at the variance of the noise. It starts steeply if many
blocks hold noise alone, and gently if all of them hold texture; the true level is then at the start or below.
"""

from __future__ import annotations

import numpy as np
from scipy.special import chdtr

BINS = 64
_RANGE = (-5.0, 6.0)  # natural logarithm of variance / reference
_ROUNDS = 150
_CENTRES = _RANGE[0] + (np.arange(BINS) + 0.5) * (_RANGE[1] - _RANGE[0]) / BINS


def variance_bins(variance: np.ndarray, reference: float) -> np.ndarray:
    """Compute the bin of each variance on a logarithmic scale around a reference.

    Args:
        variance: (B,), at least 0.
        reference: above 0, in the same units.

    Returns:
        (B,) integers from 0 to :data:`BINS` - 1.
    """
    logs = np.log(np.maximum(variance / reference, 1e-12))
    return np.clip(((logs - _RANGE[0]) / (_RANGE[1] - _RANGE[0]) * BINS).astype(int), 0, BINS - 1)


def lower_edges(counts: np.ndarray, freedom: float, quantiles: tuple[float, ...] = (0.1,)) -> np.ndarray:
    """Compute quantiles of the variances of blocks without the scatter by chance.

    Args:
        counts: (..., :data:`BINS`) number or total weight of the blocks in each bin of :func:`variance_bins`.
        freedom: degrees of freedom of a block's variance.
        quantiles: which quantiles, 0 to 1.

    Returns:
        (..., len(quantiles)) standard deviations divided by the square root of the reference; NaN if there are no
        blocks.
    """
    flat = counts.reshape(-1, BINS).astype(np.float64)
    total = flat.sum(axis=1, keepdims=True)
    flat = flat / np.where(total > 0, total, 1)
    kernel = _scatter(freedom)
    mixture = np.full_like(flat, 1 / BINS)
    for _ in range(_ROUNDS):
        expected = mixture @ kernel
        mixture *= (flat / np.maximum(expected, 1e-300)) @ kernel.T
    cumulated = np.cumsum(mixture, axis=1)
    found = np.full((len(flat), len(quantiles)), np.nan)
    step = (_RANGE[1] - _RANGE[0]) / BINS
    for row, (line, count) in enumerate(zip(cumulated, total[:, 0], strict=True)):
        if count > 0:
            # the density is taken as constant within a bin, so that the estimate has no steps
            place = np.interp(np.array(quantiles) * line[-1], np.append(0, line), np.arange(BINS + 1))
            found[row] = np.exp((_RANGE[0] + place * step) / 2)
    return found.reshape(*counts.shape[:-1], len(quantiles))


def _scatter(freedom: float) -> np.ndarray:
    """Probability of each bin (columns) for each true variance (rows)."""
    half = (_RANGE[1] - _RANGE[0]) / BINS / 2
    upper = chdtr(freedom, freedom * np.exp(_CENTRES + half - _CENTRES[:, None]))
    lower = chdtr(freedom, freedom * np.exp(_CENTRES - half - _CENTRES[:, None]))
    return upper - lower + 1e-12
