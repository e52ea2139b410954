"""The paper's losses, built from MONAI's."""

from __future__ import annotations

from typing import Literal

import torch
from monai.losses import PerceptualLoss, SSIMLoss
from torch import nn


class SSIM2DLoss(nn.Module):
    """Compute 1 - SSIM with a Gaussian window: the value of MONAI's ``SSIMLoss`` in a tenth of its time on a CPU.

    The index is that of Wang et al., 2004, https://doi.org/10.1109/TIP.2003.819861. The window is separable, so its
    sums along rows and columns are products with banded matrices. MONAI's convolution of one channel with a dense 11 x
    11 kernel took as long as the network itself.

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

    def _banded(self, length: int) -> torch.Tensor:
        """The matrix of shape (length - size + 1, length) whose rows are the window, each one place further."""
        window, size = self.window, len(self.window)
        if length < size:
            raise ValueError(f"the image must be at least {size} pixels wide and high, got {length}.")
        rows = length - size + 1
        matrix = window.new_zeros(rows, length)
        index = torch.arange(rows, device=window.device)[:, None]
        return matrix.scatter(1, index + torch.arange(size, device=window.device), window.expand(rows, -1))

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Compute a scalar from two tensors of shape (N, 1, H, W).

        Raises:
            ValueError: if the images are smaller than the window.
        """
        x, y = prediction.float(), target.float()
        rows, columns = self._banded(x.shape[-2]), self._banded(x.shape[-1])
        maps = rows @ torch.stack((x, y, x * x, y * y, x * y)) @ columns.T
        mean_x, mean_y, xx, yy, xy = maps
        product = mean_x * mean_y
        squares = mean_x**2 + mean_y**2
        contrast = (2 * (xy - product) + self.c2) / (xx + yy - squares + self.c2)
        return 1 - ((2 * product + self.c1) / (squares + self.c1) * contrast).mean()


class LogRMSELoss(nn.Module):
    """Average the logarithm of each image's root mean squared error over the batch: PSNR as a loss.

    Each image has the same weight at any noise level; under the mean squared error, noisy images outweigh the rest. As
    in HINet (Chen et al., 2021, https://doi.org/10.1109/CVPRW53098.2021.00027).

    Args:
        floor: added to the error (in quadrature), in units of the images, so that the logarithm stays finite.
    """

    def __init__(self, floor: float = 0.002) -> None:
        super().__init__()
        self.floor = floor

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Compute a scalar from two tensors of shape (N, 1, H, W[, D])."""
        error = (prediction - target).square().flatten(1).mean(dim=1)
        return 0.5 * (error + self.floor**2).log().mean()


class LogNoiseErrorLoss(nn.Module):
    """Average the logarithm of each image's root mean squared error in units of its noise over the batch.

    As :class:`LogRMSELoss`, but what is right within a small part of the noise counts as right: otherwise patches of
    masked air, whose error can become 0, would outweigh all others.

    Args:
        floor: added to the error (in quadrature), in units of sigma.
    """

    def __init__(self, floor: float = 0.05) -> None:
        super().__init__()
        self.floor = floor

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Compute a scalar from a tensor of shape (N, 1, H, W) and one of shape (N, 2, H, W): the truth and sigma."""
        error = (prediction - target[:, :1]) / target[:, 1:].clamp_min(1e-6)
        return 0.5 * (error.square().flatten(1).mean(dim=1) + self.floor**2).log().mean()


class PixelSSIMLoss(nn.Module):
    """Compute ``alpha * pixel + beta * (1 - SSIM)``, the loss of the paper's section 3.2 (alpha 0.8, beta 0.2).

    Args:
        pixel: ``"mse"`` (the paper), ``"l1"`` or ``"log_rmse"`` (:class:`LogRMSELoss`).
        alpha: weight of the pixel term.
        beta: weight of the SSIM term.
        spatial_dims: 2 or 3.
        data_range: width of the images' value range.

    Raises:
        ValueError: if ``pixel`` is unknown.

    Examples:
        >>> target = torch.full((1, 1, 16, 16), 0.5)
        >>> loss = PixelSSIMLoss()
        >>> round(float(loss(target, target)), 4), round(float(loss(target + 0.25, target)), 4)
        (0.0, 0.0654)
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
        """Compute a scalar.

        Args:
            prediction: shape (N, 1, H, W[, D]), on the scale [0, ``data_range``].
            target: the same shape and scale.
        """
        return self.alpha * self.pixel(prediction, target) + self.beta * self.ssim(prediction, target)


class SSIML1PerceptualLoss(nn.Module):
    """Compute SSIM + L1 + perceptual, the loss that the paper's introduction names instead.

    The perceptual term compares features of a trained network through MONAI's ``PerceptualLoss``, which downloads that
    network at its first use. No bundle uses this loss, so this package downloads nothing by itself. To train without a
    connection, put the network's weights into the torch hub cache beforehand.

    Args:
        ssim_weight: weight of 1 - SSIM.
        l1_weight: weight of the mean absolute error.
        perceptual_weight: weight of the perceptual term; 0 omits it and its trained network.
        perceptual: the perceptual term; MONAI's with a VGG backbone by default.
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
        """Compute a scalar from two tensors of shape (N, 1, H, W[, D]) on the scale [0, 1]."""
        ssim_weight, l1_weight, perceptual_weight = self.weights
        loss = ssim_weight * self.ssim(prediction, target) + l1_weight * self.l1(prediction, target)
        if self.perceptual is not None and perceptual_weight:
            loss = loss + perceptual_weight * self.perceptual(prediction, target)
        return loss


class LaplaceLoss(nn.Module):
    """Average the negative logarithm of the likelihood of levels, if their errors follow Laplace's distribution.

    A network that gives its expected absolute error beside each value learns both (Kendall and Gal, 2017,
    https://arxiv.org/abs/1703.04977).

    Args:
        least: fraction of tissue in a cell, above which it counts, by that fraction.
    """

    def __init__(self, least: float = 0.2) -> None:
        super().__init__()
        self.least = least

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Compute a scalar.

        Args:
            prediction: values, and natural logarithms of their expected errors, shape (N, 2, H, W).
            target: true values and fractions of tissue, shape (N, 2, H, W).
        """
        value, error = prediction.unbind(dim=1)
        truth, tissue = target.unbind(dim=1)
        weight = torch.where(tissue > self.least, tissue, 0)
        loss = (value - truth).abs() * torch.exp(-error) + error
        return (weight * loss).sum() / weight.sum().clamp(min=1e-6)
