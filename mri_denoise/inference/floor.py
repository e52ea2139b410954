"""Images whose floor is not that of Rician noise, made such that a denoiser of Rician noise takes the right bias away.

The network and the collaborative filter subtract the bias that Rician noise of the level they are told would have.
Where no signal looks darker (suppressed air) or brighter (many coils), that bias is not what is there. So the image is
shifted, slowly from place to place, by the difference of the two biases at the local signal; and where the floor is
darker the level falls to that of the floor where the signal does.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from mri_denoise.noise.rician import chi_moments

_END, _STEPS = 40, 20  # of a table of means: the largest signal by sigma, and steps in 1
_FULL = 3.0  # signal by sigma, from which on noise is as strong as in tissue


def match_floor(
    volume: torch.Tensor, sigma: torch.Tensor, share: torch.Tensor, coils: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """An image with the bias of Rician noise, and the level of that noise.

    Args:
        volume: magnitudes, shape (X, Y, Z).
        sigma: of the noise in tissue, on the same scale; a scalar or the volume's shape.
        share: sigma that explains the mean of no signal by Rice's law, by ``sigma``; 0 to 1, a scalar or the volume's
            shape. 0 is an image without bias.
        coils: channels of the noncentral chi law where that explains the floor (``share`` is 1 then); 1 is Rice's law.

    Returns:
        volume and sigma; those given where ``share`` is 1 everywhere and ``coils`` 1. Voxels that are exactly 0
        (masked) stay 0.
    """
    if coils <= 1 and bool((share >= 1).all()):
        return volume, sigma
    level = sigma.clamp_min(1e-12)
    around = _local_mean(volume)
    if coils > 1:
        signal = level * _lookup(_inverse(_means(coils)), around / level)
        shift = _rician(signal, level) - level * _lookup(_means(coils), signal / level)
        return torch.where(volume == 0, volume, (volume + shift).clamp_min(0)), sigma
    floor = (level * share).clamp_min(1e-12)
    signal = torch.where(
        around < _END * floor,
        floor * _lookup(_inverse(_means(1.0)), around / floor),
        around - floor.square() / (2 * around.clamp_min(1e-12)),
    )
    local = floor + (level - floor) * (signal / (_FULL * level)).clamp(0, 1)
    shift = _rician(signal, local) - _rician(signal, floor)
    return torch.where(volume == 0, volume, volume + shift), local


def _local_mean(volume: torch.Tensor) -> torch.Tensor:
    """Mean of the 3 x 3 x 3 voxels around, of those that are not 0."""
    live = (volume != 0).to(volume)
    sums = [F.avg_pool3d(v[None, None], 3, stride=1, padding=1)[0, 0] for v in (volume, live)]
    return sums[0] / sums[1].clamp_min(1 / 27)


def _rician(signal: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Mean of Rician magnitudes; sqrt(signal^2 + sigma^2), nearly, where the table ends."""
    near = sigma * _lookup(_means(1.0), signal / sigma)
    return torch.where(signal < _END * sigma, near, signal + sigma.square() / (2 * signal).clamp_min(1e-12))


def _means(coils: float) -> np.ndarray:
    """Mean of magnitudes with sigma 1 at signals from 0 to :data:`_END`."""
    return chi_moments(np.arange(_END * _STEPS + 1) / _STEPS, coils)[0]


def _inverse(means: np.ndarray) -> np.ndarray:
    """Signal at means from 0 to :data:`_END`; 0 up to the mean of no signal."""
    wanted = np.arange(_END * _STEPS + 1) / _STEPS
    return np.interp(wanted, means, np.arange(len(means)) / _STEPS)


def _lookup(table: np.ndarray, place: torch.Tensor) -> torch.Tensor:
    """Linear interpolation in a table with :data:`_STEPS` steps in 1; a slope of 1 beyond its end."""
    values = torch.from_numpy(table).to(place)
    at = place.clamp(0, _END) * _STEPS
    below = at.floor().clamp_max(len(table) - 2)
    index = below.long()
    return torch.lerp(values[index], values[index + 1], at - below) + (place - _END).clamp_min(0)
