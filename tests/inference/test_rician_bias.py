"""The bias of Rician noise against the formula of its mean."""

from __future__ import annotations

import numpy as np
import torch

from mri_denoise.inference.rician_bias import rician_bias, subtract_bias
from mri_denoise.noise.rician import rice_moments


def test_bias_is_that_of_the_rician_law():
    snr = np.concatenate([[0], np.geomspace(0.01, 300, 200)])
    bias = rician_bias(torch.from_numpy(2 * snr), torch.tensor(2.0)).numpy()
    np.testing.assert_allclose(bias, 2 * (rice_moments(snr)[0] - snr), rtol=1e-3, atol=1e-4)


def test_masked_voxels_get_the_signal_and_the_others_lose_their_bias():
    noisy, signal, sigma = torch.tensor([0.0, 0.9, 0.9]), torch.tensor([0.5, 0.8, 0.8]), torch.tensor([0.1, 0.1, 0.0])
    unbiased = subtract_bias(noisy, signal, sigma)
    excess = float(rice_moments(np.array([8.0]))[0][0]) - 8
    torch.testing.assert_close(unbiased, torch.tensor([0.5, 0.9 - 0.1 * excess, 0.9]))
