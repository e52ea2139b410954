"""Rice's, Rayleigh's and the noncentral chi law, which magnitudes follow: moments, and sigma from samples."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import gammaln, hyp1f1, i0e, i1e

RAYLEIGH_MEAN = math.sqrt(math.pi / 2)  # mean and standard deviation of Rayleigh's distribution with sigma 1
RAYLEIGH_STD = math.sqrt(2 - math.pi / 2)


def rice_moments(snr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute the mean and the standard deviation of Rice's distribution with sigma 1.

    The formula is that of Gudbjartsson and Patz, 1995, https://doi.org/10.1002/mrm.1910340618.

    Args:
        snr: noise-free signal divided by sigma, at least 0, any shape.

    Returns:
        mean and standard deviation, both divided by sigma, in the shape of ``snr``.

    Examples:
        >>> mean, std = rice_moments(np.array([0.0, 10.0]))
        >>> mean.round(3).tolist(), std.round(3).tolist()
        ([1.253, 10.05], [0.655, 0.997])
    """
    x = np.square(snr) / 4
    mean = RAYLEIGH_MEAN * ((1 + 2 * x) * i0e(x) + 2 * x * i1e(x))
    return mean, np.sqrt(2 + 4 * x - mean**2)


def chi_moments(snr: np.ndarray, coils: float) -> tuple[np.ndarray, np.ndarray]:
    """Compute the mean and the standard deviation of the root of the sum of squares over coils, with sigma 1 in each.

    The root of the sum of squares follows the non-central chi distribution with 2 ``coils`` degrees of freedom
    (Constantinides et al., 1997, https://doi.org/10.1002/mrm.1910380524); Rice's distribution with 1 coil.

    Args:
        snr: root of the sum of squares of the noise-free signals, divided by sigma, at least 0, any shape.
        coils: number of coils, at least 1, not necessarily an integer.

    Returns:
        mean and standard deviation, both divided by sigma, in the shape of ``snr``.
    """
    power = np.square(np.asarray(snr, dtype=np.float64))
    near = np.minimum(power, 600)  # beyond, the series loses digits and the distribution is normal
    mean = np.where(power < 600, chi_mean(coils) * hyp1f1(-0.5, coils, -near / 2), np.sqrt(power + 2 * coils - 1))
    return mean, np.sqrt(np.maximum(power + 2 * coils - np.square(mean), 0))


def chi_mean(coils: float) -> float:
    """Compute the mean magnitude of noise alone with sigma 1: ``sqrt(2) Gamma(n + 1/2) / Gamma(n)`` for n coils."""
    return math.sqrt(2) * math.exp(gammaln(coils + 0.5) - gammaln(coils))


def chi_coils(mean: float) -> float:
    """Find the number of coils whose noise alone has a given mean.

    Args:
        mean: divided by sigma.

    Returns:
        the number, at least 1, not necessarily an integer.
    """
    if mean <= chi_mean(1):
        return 1.0
    from scipy.optimize import brentq  # slow to import, and few images need it

    return float(brentq(lambda coils: chi_mean(coils) - mean, 1, 1000))


# the moments at SNR 0 to 50, for interpolation
_SNR_TABLE = np.concatenate([np.linspace(0, 8, 801), np.linspace(8.1, 50, 420)])
MEAN_TABLE, STD_TABLE = rice_moments(_SNR_TABLE)


def koay_correction(mean: np.ndarray, std: np.ndarray, iterations: int = 200) -> float:
    """Compute the sigma of Rician noise from the means and standard deviations of magnitudes.

    The correction factor depends on sigma itself, so sigma is a fixed point (Koay and Basser, 2006,
    https://doi.org/10.1016/j.jmr.2006.01.016), here approached from above, from the factor of pure noise. With several
    measurements of the same noise at different signals, the median is used.

    Args:
        mean: (N,) means of magnitudes.
        std: (N,) their standard deviations.
        iterations: upper limit; convergence is slow only if there is next to no signal.

    Returns:
        sigma, in the units of the magnitudes.
    """
    sigma = float(np.median(std)) / RAYLEIGH_STD
    for _ in range(iterations):
        if sigma <= 0:
            return 0.0
        previous = sigma
        sigma = float(np.median(std / np.interp(mean / sigma, MEAN_TABLE, STD_TABLE)))
        if abs(sigma - previous) < 1e-5 * previous:
            break
    return sigma


def grey_step(levels: np.ndarray) -> float:
    """Measure the quantisation: the median distance of neighbouring grey levels, next to 0 for real numbers.

    Args:
        levels: the values that occur, each once, in rising order (``np.unique``).

    Returns:
        the distance, in the units of the levels; 0 for a single level.
    """
    return float(np.median(np.diff(levels))) if len(levels) > 1 else 0.0


def rayleigh_sigma(values: np.ndarray, step: float) -> float:
    """Compute the maximum likelihood sigma of Rayleigh samples, less the power that rounding adds.

    Rounding adds ``step**2 / 12`` (Sheppard's correction).

    Args:
        values: magnitudes of pure noise, any shape, finite.
        step: their quantisation (:func:`grey_step`).

    Returns:
        sigma, in the units of ``values``.
    """
    power = float(np.mean(np.square(values), dtype=np.float64))
    return math.sqrt(max(power - step**2 / 12, 0.0) / 2)


def rayleigh_distance(values: np.ndarray, sigma: float) -> float:
    """Compute the Kolmogorov-Smirnov distance of samples, rounded to grey levels or not, from Rayleigh's distribution.

    Args:
        values: magnitudes, any shape, finite.
        sigma: the distribution's parameter, above 0, in the units of ``values``.

    Returns:
        the largest difference of the two cumulative distributions, 0 to 1.
    """
    levels, count = np.unique(values, return_counts=True)
    upper = levels.astype(np.float64) + grey_step(levels) / 2
    return float(np.max(np.abs(np.cumsum(count) / values.size + np.expm1(-np.square(upper / sigma) / 2))))
