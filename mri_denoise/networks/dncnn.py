"""DnCNN, a widely used denoising network, for comparison."""

from __future__ import annotations

import torch
from monai.networks.layers.factories import Conv, Norm
from torch import nn


class DnCNN(nn.Module):
    """Estimate the noise with a plain CNN of 17 layers and subtract it.

    Zhang et al., "Beyond a Gaussian Denoiser: Residual Learning of Deep CNN for Image Denoising", IEEE TIP 2017,
    https://doi.org/10.1109/TIP.2017.2662206. The layers are convolution + ReLU, then ``depth - 2`` times convolution +
    batch normalisation + ReLU, then a convolution.

    Input and output are as for :class:`~mri_denoise.networks.HMADNet`: (N, ``num_slices`` + ``noise_map``, H, W[, D])
    in, (N, 1, H, W[, D]) out, on the scale [0, 1].

    Args:
        spatial_dims: 2 or 3.
        depth: number of convolutions, at least 3.
        width: feature maps of each layer.
        num_slices: odd number of neighbouring slices that are the input channels.
        noise_map: whether a noise-level map follows as one more input channel.
        from_identity: whether the last layer starts at zero, so that training starts from the identity. Otherwise
            training does not get going if noise levels differ widely.

    Attributes:
        input_channels: of the input.

    Raises:
        ValueError: if ``depth`` is less than 3 or ``num_slices`` is even.
    """

    def __init__(
        self,
        spatial_dims: int = 2,
        depth: int = 17,
        width: int = 64,
        num_slices: int = 1,
        noise_map: bool = False,
        from_identity: bool = False,
    ) -> None:
        super().__init__()
        if depth < 3:
            raise ValueError(f"depth must be at least 3, got {depth}.")
        if num_slices < 1 or num_slices % 2 == 0:
            raise ValueError(f"num_slices must be odd and positive, got {num_slices}.")
        conv, norm = Conv[Conv.CONV, spatial_dims], Norm[Norm.BATCH, spatial_dims]
        self.input_channels = num_slices + int(noise_map)
        self.num_slices = num_slices
        layers: list[nn.Module] = [conv(self.input_channels, width, kernel_size=3, padding=1), nn.ReLU(inplace=True)]
        for _ in range(depth - 2):
            layers += [conv(width, width, kernel_size=3, padding=1, bias=False), norm(width), nn.ReLU(inplace=True)]
        last = conv(width, 1, kernel_size=3, padding=1)
        if from_identity:
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        layers.append(last)
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Denoise: shape (N, ``input_channels``, H, W[, D]) in, (N, 1, H, W[, D]) out."""
        centre = self.num_slices // 2
        return x[:, centre : centre + 1] - self.layers(x)
