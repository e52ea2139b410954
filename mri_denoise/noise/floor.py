"""Measure the floor of a magnitude image: its mean where there is no signal.

The magnitude of noise alone is not 0. Its mean is 1.25 sigma with one coil (Rice's distribution, Gudbjartsson and Patz,
1995, https://doi.org/10.1002/mrm.1910340618) and more for the root of the sum of squares over several coils (the
non-central chi distribution, Constantinides et al., 1997, https://doi.org/10.1002/mrm.1910380524). Scanners also
suppress, filter or mask the air; the bias is then less than theory says. So the floor is measured in the darkest
blocks, relative to the noise in tissue.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import ndimage

from mri_denoise.noise.detail import DetailBlocks
from mri_denoise.noise.rician import RAYLEIGH_MEAN, chi_coils

FloorKind = Literal["rician", "chi", "suppressed", "masked", "unknown", "none"]
_DARK = 1.7  # sigma: a block of a lower mean holds hardly any signal
_CHI_MOST = 8.0  # sigma: mean of the noise of 32 coils
_CHI_SPREAD = (0.5, 0.84)  # sigma: standard deviation of the noise alone, for any number of coils
# The noise of many coils spreads 0.66 to 0.71 sigma, tissue of 2 sigma 0.9 and more, but less where sigma is found too
# high. So the darkest must spread less than the first, and than the second times the usual spread of blocks more than
# twice as bright, of which there are some (of 94 crops and slabs of brains and samples one still passes for air, of 61
# images of 2 to 24 coils 56).
_CHI_USUAL, _CHI_BESIDE, _BESIDE = 0.78, 0.9, 20
_CHI_DARK = 0.5  # times the 95th percentile of the means: air is darker
_LEAST, _LEAST_CHI = 40, 20  # blocks; the noise of many coils is told by their mean and spread, too
_FRACTION = 0.01  # of all blocks
_EVEN = 0.1  # relative departure from Rice's distribution that is not significant
_UNSEEN = 2.0  # expected errors of sigma by which a floor that cannot be seen is lowered
_REACH = 4.0  # blocks: standard deviation of the window of a local floor


@dataclass(frozen=True, kw_only=True)
class Floor:
    """The mean of an image where there is no signal.

    Args:
        kind: ``"rician"``; ``"chi"`` of several coils; ``"suppressed"``, darker than sigma of the tissue explains;
            ``"masked"``, exactly 0; ``"unknown"``, if the image shows no air; ``"none"``, if the image is no magnitude
            (:class:`~mri_denoise.noise.zero_level.ZeroLevel`).
        ratio: the sigma that explains the floor by Rice's distribution, divided by sigma of the tissue: 0 to 1; on the
            grid of blocks if it varies, otherwise a number.
        coils: channels of the non-central chi distribution; 1 except for ``"chi"``.
        blocks: number of blocks that were measured.
    """

    kind: FloorKind
    ratio: np.ndarray
    coils: float = 1.0
    blocks: int = 0


def find_floor(blocks: DetailBlocks, sigma: np.ndarray, masked: bool, error: float = 0.0) -> Floor:
    """Measure the floor.

    Where ``sigma`` is too high, the floor that it explains is too high as well, and dark tissue would come out too
    dark. So the floor is what the darkest blocks show; if there are none, it is lowered by the error.

    Args:
        blocks: of the whole image.
        sigma: of the noise, shape ``blocks.grid``.
        masked: whether much of the image is exactly 0.
        error: expected relative error of ``sigma``; 0 if it is that of the air.

    Returns:
        the floor, ``"unknown"`` or ``"masked"`` if there are too few dark blocks.
    """
    level = sigma[tuple(blocks.place.T)]
    mean = blocks.mean / level
    dark = (mean < _DARK) & (mean > 0)
    spread = np.sqrt(blocks.power.sum(axis=(1, 2)) - blocks.power[:, 0, 0]) / math.sqrt(math.prod(blocks.edges)) / level
    chi = (mean >= _DARK) & (mean < _CHI_MOST) & (spread > _CHI_SPREAD[0]) & (spread < _CHI_SPREAD[1])
    least = max(_LEAST, int(_FRACTION * len(mean)))
    few = max(_LEAST_CHI, int(_FRACTION * len(mean)))
    if not masked and chi.sum() > max(few, 3 * dark.sum()) and _alike(mean[chi]) and _is_air(mean, spread, chi):
        coils = chi_coils(float(np.median(mean[chi])))
        return Floor(kind="chi", ratio=np.array(1.0), coils=coils, blocks=int(chi.sum()))
    if dark.sum() < least:
        unseen = np.array(math.exp(-_UNSEEN * error))
        return Floor(kind="masked" if masked else "unknown", ratio=unseen, blocks=int(dark.sum()))
    ratio = _local_ratio(blocks, dark, mean)
    overall = float(np.median(mean[dark])) / RAYLEIGH_MEAN
    if abs(overall - 1) < _EVEN and np.percentile(ratio, 5) > 1 - 2 * _EVEN:
        return Floor(kind="rician", ratio=np.array(1.0), blocks=int(dark.sum()))
    return Floor(kind="suppressed", ratio=np.minimum(ratio, 1), blocks=int(dark.sum()))


def _alike(mean: np.ndarray) -> bool:
    """Tell whether the means follow one distribution: half of them lie within a sixth of their median."""
    return float(np.median(np.abs(mean / np.median(mean) - 1))) < 1 / 6


def _is_air(mean: np.ndarray, spread: np.ndarray, chosen: np.ndarray) -> bool:
    """Tell the noise of many coils from tissue of low signal, some blocks of which vary as little by chance.

    Most blocks of that mean must vary as little, also beside bright ones, and they must be darker than these.
    """
    centre = float(np.median(mean[chosen]))
    usual = float(np.median(spread[np.abs(mean / centre - 1) < 1 / 6]))
    bright = mean > 2 * centre
    beside = min(float(np.percentile(spread[bright], 25)), 1.0) if bright.sum() >= _BESIDE else 1.0
    dark = centre < _CHI_DARK * float(np.percentile(mean, 95))
    return dark and usual < min(_CHI_USUAL, _CHI_BESIDE * beside)


def _local_ratio(blocks: DetailBlocks, dark: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Mean of the dark blocks around each place, divided by that of Rayleigh's distribution; shape ``blocks.grid``."""
    usual = float(np.median(mean[dark]))
    number = np.zeros(blocks.grid, dtype=np.float32)
    total = np.zeros(blocks.grid, dtype=np.float32)
    places = tuple(blocks.place[dark].T)
    np.add.at(number, places, 1)
    np.add.at(total, places, np.minimum(mean[dark], 2 * usual))
    reach = (_REACH, _REACH, 2 * _REACH)
    near = [ndimage.gaussian_filter(values, reach, mode="constant", truncate=6.0) for values in (number, total)]
    prior = 1e-4  # weight of the median, which counts where no dark block is near
    return (near[1] + prior * usual) / (near[0] + prior) / RAYLEIGH_MEAN
