"""Shift images whose floor is not that of Rician noise, so that a denoiser of Rician noise subtracts the right bias.

The network and the collaborative filter subtract the bias that Rician noise of the given level would have. If the air
is darker (suppressed) or brighter (many coils), the image has another bias. So the image is shifted by the difference
of the two biases at the local signal, which varies slowly in space. If the floor is darker, the level falls with the
signal to that of the floor, and less than the whole bias is taken away where there is signal, since such a floor tells
little of the bias in tissue: just above it, a level that is a tenth too high makes a signal a quarter of sigma too
dark.
"""

from __future__ import annotations

import numpy as np
import torch

from mri_denoise.inference.limits import mean_around
from mri_denoise.inference.parts import slabs
from mri_denoise.noise.rician import chi_moments

_END, _STEPS = 40, 20  # of a table of means: the largest signal / sigma, and steps in 1
_LESS, _FROM = 0.3, 0.8  # of the floor that is left out from twice this signal / sigma on, and none below this
_FULL = 3.0  # signal / sigma above which the noise is as strong as in tissue


def match_floor(
    volume: torch.Tensor, sigma: torch.Tensor, ratio: torch.Tensor, coils: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Give an image the bias of Rician noise.

    Args:
        volume: magnitudes, shape (X, Y, Z).
        sigma: of the noise in tissue, on the same scale; a scalar or the volume's shape.
        ratio: the sigma that explains the floor by Rice's distribution, divided by ``sigma``; 0 to 1, a scalar or the
            volume's shape. 0 is an image without bias.
        coils: channels of the non-central chi distribution if that explains the floor (``ratio`` is 1 then); 1 is
            Rice's distribution.

    Returns:
        the shifted volume and the level of its noise; the arguments themselves if ``ratio`` is 1 everywhere and
        ``coils`` is 1. Voxels that are exactly 0 (masked) stay 0.
    """
    if coils <= 1 and bool((ratio >= 1).all()):
        return volume, sigma
    around, shifted = _local_mean(volume), torch.empty_like(volume)
    level = sigma if coils > 1 else torch.empty_like(volume)
    for part in slabs(volume):  # a table is looked up with several copies of what it is asked
        there, floor = (value if value.ndim == 0 else value[part] for value in (sigma, ratio))
        if coils > 1:
            shifted[part] = _match_chi(volume[part], around[part], there.clamp_min(1e-12), coils)
        else:
            shifted[part], level[part] = _match_floor(volume[part], around[part], there.clamp_min(1e-12), floor)
    return shifted, level


def _match_chi(volume: torch.Tensor, around: torch.Tensor, level: torch.Tensor, coils: float) -> torch.Tensor:
    """Shift planes with the floor of several coils, given their local mean."""
    signal = level * _lookup(_inverse(_means(coils)), around / level)
    shift = _rician(signal, level) - level * _lookup(_means(coils), signal / level)
    return torch.where(volume == 0, volume, (volume + shift).clamp_min(0))


def _match_floor(
    volume: torch.Tensor, around: torch.Tensor, level: torch.Tensor, ratio: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Shift planes whose floor is darker than their noise, given their local mean; the level of their noise, too."""
    floor = (level * ratio).clamp_min(1e-12)
    signal = torch.where(
        around < _END * floor,
        floor * _lookup(_inverse(_means(1.0)), around / floor),
        around - floor.square() / (2 * around.clamp_min(1e-12)),
    )
    local = floor + (level - floor) * (signal / (_FULL * level)).clamp(0, 1)
    sure = floor * (1 - _LESS * (signal / level / _FROM - 1).clamp(0, 1))
    shift = _rician(signal, local) - _rician(signal, sure)
    return torch.where(volume == 0, volume, volume + shift), local


def _local_mean(volume: torch.Tensor) -> torch.Tensor:
    """Mean of the voxels around that are not 0, 3 x 3 x 3."""
    mask = (volume != 0).to(volume)
    sums = [mean_around(values) for values in (volume, mask)]
    return sums[0] / sums[1].clamp_min(1 / 27)


def _rician(signal: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Mean of Rician magnitudes; beyond the table nearly sqrt(signal^2 + sigma^2)."""
    near = sigma * _lookup(_means(1.0), signal / sigma)
    return torch.where(signal < _END * sigma, near, signal + sigma.square() / (2 * signal).clamp_min(1e-12))


def _means(coils: float) -> np.ndarray:
    """Mean of magnitudes with sigma 1 at signals from 0 to :data:`_END`."""
    return chi_moments(np.arange(_END * _STEPS + 1) / _STEPS, coils)[0]


def _inverse(means: np.ndarray) -> np.ndarray:
    """Signal at means from 0 to :data:`_END`; 0 up to the mean of noise alone."""
    wanted = np.arange(_END * _STEPS + 1) / _STEPS
    return np.interp(wanted, means, np.arange(len(means)) / _STEPS)


def _lookup(table: np.ndarray, place: torch.Tensor) -> torch.Tensor:
    """Linear interpolation in a table with :data:`_STEPS` steps in 1; a slope of 1 beyond its end."""
    values = torch.from_numpy(table).to(place)
    at = place.clamp(0, _END) * _STEPS
    below = at.floor().clamp_max(len(table) - 2)
    index = below.long()
    return torch.lerp(values[index], values[index + 1], at - below) + (place - _END).clamp_min(0)
