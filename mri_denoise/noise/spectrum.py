"""Measure the spectrum of the noise in tissue: its power at each frequency.

Zero-filling, elliptic scanning and soft filters leave less noise at high frequencies. In the quietest blocks of tissue
the power is constant up to where the filter begins, and falls from there. Low frequencies hold anatomy as well; the
noise there is taken to be as strong as at medium frequencies. One half of the coefficients chooses the quiet blocks and
the other half gives the power, so that the choice does not bias it.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import chdtri

from mri_denoise.noise.detail import DetailBlocks

_QUIET, _LEAST = 0.05, 100  # fraction and number of blocks
_MIDDLE = (0.4, 0.75)  # of the acquired k-space: frequencies with little anatomy, and with noise in spite of any filter
_COARSE = 0.2  # of the acquired k-space: lower frequencies hold anatomy in every block
_TEXTURED = 1.2  # breadth at medium frequencies, above which all blocks hold anatomy there
_QUANTILES = (0.1, 0.3)  # of the blocks' power: the quieter ones
_FILTERED = 0.6  # of the power in the middle: white noise does not fall lower by chance


def noise_spectrum(blocks: DetailBlocks) -> np.ndarray:
    """Measure the power of the noise in each cosine coefficient of a block.

    Args:
        blocks: of tissue.

    Returns:
        (E, F), 1 on average; 1 everywhere if the noise is white, or there are too few blocks.
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
    if coarse.any() and _breadth(blocks, coarse) < _TEXTURED:  # the noise is strong enough to show there as well
        level, end = max(level, float(np.median(power[coarse]))), _MIDDLE[0]
    found = np.where(radius < end, 1.0, np.minimum(power / level, 1.0))
    if (found[inside] > _FILTERED).all():
        found = plain
    return found / found.mean()


def _breadth(blocks: DetailBlocks, chosen: np.ndarray) -> float:
    """How much the blocks differ in the strength of some coefficients: 1 as by chance, above it by texture."""
    low, high = np.quantile(blocks.power[:, chosen].mean(axis=1), _QUANTILES)
    by_chance = [chdtri(int(chosen.sum()), 1 - part) for part in _QUANTILES]
    return math.sqrt(high / max(low, 1e-30) * by_chance[0] / by_chance[1])


def _quiet_power(blocks: DetailBlocks, fine: np.ndarray) -> np.ndarray:
    """Mean power of each coefficient in the quietest blocks, (E, F)."""
    number = max(_LEAST, int(_QUIET * len(blocks.mean)))
    odd = np.add.outer(*(np.arange(n) for n in blocks.edges)) % 2 == 1
    power = np.zeros(blocks.edges)
    for half in (odd, ~odd):
        quiet = np.argsort(blocks.power[:, fine & half].sum(axis=1), kind="stable")[:number]
        power[~half] = blocks.power[quiet].mean(axis=0, dtype=np.float64)[~half]
    return power


def spectrum_correlation(spectrum: np.ndarray, reach: int) -> np.ndarray:
    """Compute the correlation with neighbours along the two axes of a slice for noise of a given spectrum.

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
