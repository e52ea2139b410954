"""The paper's losses, put together from MONAI's."""

from __future__ import annotations

from typing import Literal

import torch
from monai.losses import PerceptualLoss, SSIMLoss
from torch import nn


class SSIM2DLoss(nn.Module):
    """1 - SSIM with a Gaussian window, the value of MONAI's ``SSIMLoss`` at a tenth of its time on a CPU.

    The window is separable, and its sums along rows and columns are products with banded matrices; MONAI's convolution
    of one channel with a dense 11 x 11 kernel took as long as the network itself.

    Args:
        data_range: width of the images' value range.
        size: width of the window in pixels.
        sigma: standard deviation of the window in pixels.
    """

    window: torch.Tensor

    def __init__(self, data_range: float = 1.0, size: int = 11, sigma: float = 1.5) -> None:
        super().__init__()
        offsets = torch.arange(size, dtype=torch.float32) - (size - 1) / 2
        window = torch.exp(-(offsets**2) / (2 * sigma**2))
        self.register_buffer("window", window / window.sum(), persistent=False)
        self.c1, self.c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2

    def _band(self, length: int) -> torch.Tensor:
        """Shape (length - size + 1, length): each row is the window, one place further."""
        window, size = self.window, len(self.window)
        if length < size:
            raise ValueError(f"the image must be at least {size} pixels wide and high, got {length}.")
        rows = length - size + 1
        band = window.new_zeros(rows, length)
        index = torch.arange(rows, device=window.device)[:, None]
        return band.scatter(1, index + torch.arange(size, device=window.device), window.expand(rows, -1))

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """A scalar from two tensors of shape (N, 1, H, W)."""
        x, y = prediction.float(), target.float()
        rows, columns = self._band(x.shape[-2]), self._band(x.shape[-1])
        maps = rows @ torch.stack((x, y, x * x, y * y, x * y)) @ columns.T
        mean_x, mean_y, xx, yy, xy = maps
        product = mean_x * mean_y
        squares = mean_x**2 + mean_y**2
        contrast = (2 * (xy - product) + self.c2) / (xx + yy - squares + self.c2)
        return 1 - ((2 * product + self.c1) / (squares + self.c1) * contrast).mean()


class LogRMSELoss(nn.Module):
    """Mean over the batch of the logarithm of each image's root mean squared error: PSNR as a loss.

    Each image counts alike whatever its noise; under the mean squared error those with much noise drown out the rest.
    As in HINet (Chen et al., 2021, https://doi.org/10.1109/CVPRW53098.2021.00027).

    Args:
        floor: errors well below count as none, in units of the images.
    """

    def __init__(self, floor: float = 0.002) -> None:
        super().__init__()
        self.floor = floor

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """A scalar from two tensors of shape (N, 1, H, W[, D])."""
        error = (prediction - target).square().flatten(1).mean(dim=1)
        return 0.5 * (error + self.floor**2).log().mean()


class PixelSSIMLoss(nn.Module):
    """``alpha * pixel + beta * (1 - SSIM)``, the paper's section 3.2 with its alpha 0.8 and beta 0.2.

    Args:
        pixel: ``"mse"`` (the paper), ``"l1"`` or ``"log_rmse"`` (:class:`LogRMSELoss`).
        alpha: weight of the pixel term.
        beta: weight of the SSIM term.
        spatial_dims: 2 or 3.
        data_range: width of the images' value range.

    Raises:
        ValueError: if ``pixel`` is unknown.
    """

    def __init__(
        self,
        pixel: Literal["mse", "l1", "log_rmse"] = "mse",
        alpha: float = 0.8,
        beta: float = 0.2,
        spatial_dims: int = 2,
        data_range: float = 1.0,
    ) -> None:
        super().__init__()
        terms: dict[str, type[nn.Module]] = {"mse": nn.MSELoss, "l1": nn.L1Loss, "log_rmse": LogRMSELoss}
        if pixel not in terms:
            raise ValueError(f"pixel must be one of {', '.join(terms)}, got {pixel!r}.")
        self.pixel = terms[pixel]()
        self.ssim: nn.Module = SSIM2DLoss(data_range) if spatial_dims == 2 else SSIMLoss(spatial_dims, data_range)
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
