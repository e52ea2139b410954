"""The paper's losses, put together from MONAI's."""

from __future__ import annotations

from typing import Literal

import torch
from monai.losses import PerceptualLoss, SSIMLoss
from torch import nn


class PixelSSIMLoss(nn.Module):
    """``alpha * pixel + beta * (1 - SSIM)``, the paper's section 3.2 with its alpha 0.8 and beta 0.2.

    Args:
        pixel: ``"mse"`` (the paper) or ``"l1"``.
        alpha: weight of the pixel term.
        beta: weight of the SSIM term.
        spatial_dims: 2 or 3.
        data_range: width of the images' value range.

    Raises:
        ValueError: if ``pixel`` is unknown.
    """

    def __init__(
        self,
        pixel: Literal["mse", "l1"] = "mse",
        alpha: float = 0.8,
        beta: float = 0.2,
        spatial_dims: int = 2,
        data_range: float = 1.0,
    ) -> None:
        super().__init__()
        if pixel not in ("mse", "l1"):
            raise ValueError(f"pixel must be 'mse' or 'l1', got {pixel!r}.")
        self.pixel: nn.Module = nn.MSELoss() if pixel == "mse" else nn.L1Loss()
        self.ssim = SSIMLoss(spatial_dims=spatial_dims, data_range=data_range)
        self.alpha = alpha
        self.beta = beta

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """A scalar from two tensors of shape (N, 1, H, W[, D]) on the scale [0, ``data_range``]."""
        return self.alpha * self.pixel(prediction, target) + self.beta * self.ssim(prediction, target)


class SSIML1PerceptualLoss(nn.Module):
    """SSIM + L1 + perceptual, the loss that the paper's introduction names instead.

    The perceptual term compares features of a trained network through MONAI's ``PerceptualLoss``. Such networks are
    downloaded the first time, which this package never does by itself: put their weights into the torch hub cache
    beforehand, or give ``perceptual_path`` (see MONAI's documentation).

    Args:
        ssim_weight: weight of 1 - SSIM.
        l1_weight: weight of the mean absolute error.
        perceptual_weight: weight of the perceptual term; 0 leaves it (and its trained network) out.
        perceptual: the perceptual term, by default MONAI's with a VGG backbone.
        spatial_dims: 2 or 3.
    """

    def __init__(
        self,
        ssim_weight: float = 0.2,
        l1_weight: float = 0.8,
        perceptual_weight: float = 0.01,
        perceptual: nn.Module | None = None,
        spatial_dims: int = 2,
    ) -> None:
        super().__init__()
        self.ssim = SSIMLoss(spatial_dims=spatial_dims, data_range=1.0)
        self.l1 = nn.L1Loss()
        self.weights = (ssim_weight, l1_weight, perceptual_weight)
        if perceptual is None and perceptual_weight:
            perceptual = PerceptualLoss(spatial_dims=spatial_dims, network_type="vgg")
        self.perceptual = perceptual

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """A scalar from two tensors of shape (N, 1, H, W[, D]) on the scale [0, 1]."""
        ssim_weight, l1_weight, perceptual_weight = self.weights
        loss = ssim_weight * self.ssim(prediction, target) + l1_weight * self.l1(prediction, target)
        if self.perceptual is not None and perceptual_weight:
            loss = loss + perceptual_weight * self.perceptual(prediction, target)
        return loss
