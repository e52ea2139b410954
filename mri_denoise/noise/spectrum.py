"""The spectrum of the noise in tissue: how much of its power is in which waves.

Zero-filling, elliptic scanning and soft filters leave less noise in fine waves. In the quietest blocks of tissue the
power per wave is level up to where the filter begins, and falls from there; coarse waves hold anatomy as well, and the
noise in them is taken to be as strong as in the middle ones. Which blocks are quiet is told by one half of the
coefficients, the power by the other half, so that the choice does not bias it.
"""

from __future__ import annotations

import numpy as np
from scipy.fft import dct

from mri_denoise.noise.detail import DetailBlocks
from mri_denoise.noise.tissue import global_edge

_QUIET, _LEAST = 0.05, 100  # share and number of blocks
_MIDDLE = (0.4, 0.75)  # of the measured band: waves that hold little anatomy, and noise whatever the filter
_COARSE = 0.2  # of the measured band: coarser waves hold anatomy in every block
_TEXTURED = 1.2  # breadth of the middle waves, above which anatomy is in all of them
_FILTERED = 0.6  # of the power in the middle, below which chance does not take white noise


def noise_spectrum(blocks: DetailBlocks) -> np.ndarray:
    """Power of the noise in each cosine coefficient of a block, 1 on average.

    Args:
        blocks: of tissue.

    Returns:
        (E, F); 1 everywhere where the noise is white, or too few blocks can tell.
    """
    first, second = blocks.frequency()
    inside = (first < 0.999) & (second < 0.999)
    plain = np.where(inside, 1.0, 0.0)
    radius = np.hypot(first, second)
    if len(blocks.mean) < _LEAST:
        return plain / plain.mean()
    power = _quiet_power(blocks, inside & (radius > _COARSE))
    middle = (radius > _MIDDLE[0]) & (radius < _MIDDLE[1]) & (first > 0) & (second > 0)
    if not middle.any():
        return plain / plain.mean()
    if _breadth(blocks, middle) > _TEXTURED:
        return plain / plain.mean()
    level, end = float(np.median(power[middle])), _MIDDLE[1]
    coarse = (radius > _COARSE) & (radius < _MIDDLE[0]) & (first > 0) & (second > 0)
    if coarse.any() and _breadth(blocks, coarse) < _TEXTURED:  # noise is strong enough to be seen there as well
        level, end = max(level, float(np.median(power[coarse]))), _MIDDLE[0]
    found = np.where(radius < end, 1.0, np.minimum(power / level, 1.0))
    if (found[inside] > _FILTERED).all():
        found = plain
    return found / found.mean()


def _breadth(blocks: DetailBlocks, chosen: np.ndarray) -> float:
    """How much more the blocks' power in some coefficients scatters than noise alone does: 1 for noise."""
    return float(global_edge(blocks.power[:, chosen].mean(axis=1), int(chosen.sum())).breadth)


def _quiet_power(blocks: DetailBlocks, fine: np.ndarray) -> np.ndarray:
    """Mean power of each coefficient in the quietest blocks, (E, F)."""
    number = max(_LEAST, int(_QUIET * len(blocks.mean)))
    odd = np.add.outer(*(np.arange(n) for n in blocks.edges)) % 2 == 1
    power = np.zeros(blocks.edges)
    for half in (odd, ~odd):
        quiet = np.argsort(blocks.power[:, fine & half].sum(axis=1), kind="stable")[:number]
        power[~half] = blocks.power[quiet].mean(axis=0, dtype=np.float64)[~half]
    return power


def correlation_spectrum(rows: np.ndarray, blocks: DetailBlocks) -> np.ndarray:
    """Power in each cosine coefficient of a block, of noise of a given correlation along the axes of a slice.

    Args:
        rows: (2, lags), each from 1 at lag 0; beyond their end there is no correlation.
        blocks: whose coefficients are meant.

    Returns:
        (E, F), 1 on average.
    """
    powers = []
    for row, edge in zip(rows, blocks.edges, strict=True):
        lags = np.abs(np.subtract.outer(np.arange(edge), np.arange(edge)))
        covariance = np.append(row, 0)[np.minimum(lags, len(row))]
        cosines = dct(np.eye(edge), norm="ortho", axis=0)
        powers.append(np.maximum(np.einsum("ij,jk,ik->i", cosines, covariance, cosines), 1e-3))
    power = np.outer(*powers)
    return power / power.mean()


def spectrum_correlation(spectrum: np.ndarray, reach: int) -> np.ndarray:
    """Correlation with neighbours along the two axes of a slice, of noise of a given spectrum.

    Args:
        spectrum: power of each cosine coefficient of a block, (E, F).
        reach: largest lag.

    Returns:
        (2, ``reach`` + 1), each row from 1 at lag 0.
    """
    rows = []
    for axis in range(2):
        power = spectrum.mean(axis=1 - axis)
        power = (power + np.append(power[1:], power[-1])) / 2  # between the frequencies k / (2 E) of the coefficients
        places = (np.arange(len(power)) + 0.5) / len(power)
        waves = np.cos(np.pi * np.outer(np.arange(reach + 1), places))
        rows.append(waves @ power / power.sum())
    return np.array(rows)
