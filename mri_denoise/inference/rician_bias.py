"""Subtract the bias of Rician magnitudes, given an estimate of their signal."""

from __future__ import annotations

import numpy as np
import torch

from mri_denoise.noise.rician import rice_moments

SNR_LIMIT, SNR_STEPS = 40, 20  # of the table: its end, and steps in 1

_snr = np.arange(SNR_LIMIT * SNR_STEPS + 1) / SNR_STEPS
BIAS_TABLE = torch.from_numpy(rice_moments(_snr)[0] - _snr)  # of noise with sigma 1, for SNR 0, 1/20, 2/20, ... 40


def subtract_bias(noisy: torch.Tensor, signal: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Subtract the mean excess of Rician magnitudes over their signal.

    Args:
        noisy: magnitudes.
        signal: an estimate of the signal, of the same shape.
        sigma: standard deviation of the noise on the same scale: a scalar, or the shape of ``noisy``.

    Returns:
        the shape of ``noisy``. Voxels that are exactly 0 (masked air) hold no noise: they get the signal.
    """
    return torch.where(noisy == 0, signal, noisy - rician_bias(signal, sigma))


def rician_bias(signal: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Mean of Rician magnitudes less their signal, from a table of :func:`~mri_denoise.noise.rician.rice_moments`."""
    snr = signal.clamp_min(0) / sigma.clamp_min(1e-12)
    place = snr.clamp_max(SNR_LIMIT) * SNR_STEPS
    below = place.floor().clamp_max(SNR_LIMIT * SNR_STEPS - 1)
    index, fraction = below.long(), place - below
    table = BIAS_TABLE.to(signal)
    beyond = (SNR_LIMIT / snr).clamp_max(1)  # beyond the table the bias falls as 1 / SNR
    return sigma * torch.lerp(table[index], table[index + 1], fraction) * beyond
