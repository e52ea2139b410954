"""The level of noise among blocks of which many hold texture as well: the lower edge of their variances.

A block's variance is that of the noise plus that of its texture, times a chi-square variable over its degrees of
freedom. What chance alone scatters is taken out (the nonparametric maximum likelihood estimate of a mixing
distribution, N. Laird, "Nonparametric maximum likelihood estimation of a mixing distribution", 1978, by expectation
maximisation). What is left starts at the variance of the noise: a steep start where many blocks hold noise alone, a
gentle one where there is texture everywhere, and then the true level is there or below.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import chi2

BINS = 64
_RANGE = (-5.0, 6.0)  # natural logarithm of a variance by the reference
_ROUNDS = 150
_CENTRES = _RANGE[0] + (np.arange(BINS) + 0.5) * (_RANGE[1] - _RANGE[0]) / BINS


def variance_bins(variance: np.ndarray, reference: float) -> np.ndarray:
    """The bin of each variance on a logarithmic scale around a reference.

    Args:
        variance: (B,), at least 0.
        reference: above 0, in the same units.

    Returns:
        (B,) whole numbers from 0 to :data:`BINS` - 1.
    """
    logs = np.log(np.maximum(variance / reference, 1e-12))
    return np.clip(((logs - _RANGE[0]) / (_RANGE[1] - _RANGE[0]) * BINS).astype(int), 0, BINS - 1)


def lower_edges(counts: np.ndarray, freedom: float, shares: tuple[float, ...] = (0.1,)) -> np.ndarray:
    """Quantiles of the variances of blocks without what chance scatters, relative to the reference.

    Args:
        counts: (..., :data:`BINS`) blocks in each bin of :func:`variance_bins`; weights need not be whole.
        freedom: degrees of freedom of a block's variance.
        shares: which quantiles, 0 to 1.

    Returns:
        (..., len(shares)) standard deviations by the square root of the reference; NaN where there are no blocks.
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
    found = np.full((len(flat), len(shares)), np.nan)
    step = (_RANGE[1] - _RANGE[0]) / BINS
    for row, (line, count) in enumerate(zip(cumulated, total[:, 0], strict=True)):
        if count > 0:
            # within a bin the level is taken as even, so that the estimate has no steps
            place = np.interp(np.array(shares) * line[-1], np.append(0, line), np.arange(BINS + 1))
            found[row] = np.exp((_RANGE[0] + place * step) / 2)
    return found.reshape(*counts.shape[:-1], len(shares))


def _scatter(freedom: float) -> np.ndarray:
    """Chance of each bin (columns) at each true level (rows)."""
    half = (_RANGE[1] - _RANGE[0]) / BINS / 2
    upper = chi2.cdf(freedom * np.exp(_CENTRES + half - _CENTRES[:, None]), freedom)
    lower = chi2.cdf(freedom * np.exp(_CENTRES - half - _CENTRES[:, None]), freedom)
    return upper - lower + 1e-12
