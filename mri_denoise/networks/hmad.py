"""HMAD-Net: a U-Net of residual blocks with channel and spatial attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from monai.networks.layers.factories import Conv, Pool
from torch import nn

from mri_denoise.networks.blocks import AttentionStage, Bottleneck, MultiScaleBranch


class HMADNet(nn.Module):
    """Denoise slices or volumes with the Hybrid Multi-Scale Attention Denoising Network.

    Umair and Hamid, "Preserving Critical Signals in Magnetic Image Denoising: A Deep Learning Approach with Selective
    Feature Preservation", 2025, section 3.1. The defaults are the paper's network: one slice in, one slice out,
    sigmoid. The paper gives no widths; the default is four stages from 32 to 256.

    The input has the shape (N, ``input_channels``, H, W[, D]) and values on the scale [0, 1]. Its channels are
    ``num_slices`` neighbouring slices in order and then, if ``noise_map``, the standard deviation of the noise at each
    position on the same scale. The output has the shape (N, 1, H, W[, D]) and belongs to the centre slice. Any size
    works: the network pads its input by edge replication to a multiple of the pooling factor and crops the result.

    Args:
        spatial_dims: 2 (the paper) or 3.
        channels: feature maps of each encoder stage; the last number is that of the bottleneck.
        num_slices: odd number of neighbouring slices that are the input channels; 1 in three dimensions.
        noise_map: whether a noise-level map follows as one more input channel.
        attention: whether the network has channel and spatial attention (Table 4).
        residual: whether skips go around the convolution blocks (Table 4).
        multi_scale: whether the network has the second branch of Figure 1: parallel convolutions of several kernel
            sizes, fused with the first encoder stage at full resolution.
        head: ``"sigmoid"`` bounds the output to (0, 1) as in the paper. ``"residual"`` estimates the noise and
            subtracts it from the centre slice. ``"scaled_residual"`` does so in units of the noise map's sigma: where
            sigma is 0, the output equals the input exactly.
        num_bottleneck_blocks: residual blocks in the bottleneck.
        shuffle: above 1, each ``shuffle`` x ``shuffle`` square of pixels becomes one position with as many times the
            channels before the first stage, and back after the last (pixel-unshuffle,
            https://doi.org/10.1109/CVPR.2016.207, as in FFDNet, https://doi.org/10.1109/TIP.2018.2839891). This
            removes the stage at full resolution, which is limited by memory and not by arithmetic. Two dimensions only.
        in_channels: channels that the first stage takes, where a subclass makes its own of the input
            (:class:`~mri_denoise.networks.refine.RefineNet`); by default those of the input.

    Attributes:
        input_channels: of the input.
        in_channels: that the first stage takes.
        factor: multiple of pixels that the input is padded to.

    Raises:
        ValueError: if ``num_slices`` is even or less than 1, ``num_slices`` or ``shuffle`` is not 1 in three
            dimensions, fewer than two ``channels`` are given, or ``head`` is unknown or lacks the noise map it needs.

    Examples:
        >>> network = HMADNet(channels=(8, 16, 32), num_slices=5, noise_map=True, head="scaled_residual", shuffle=2)
        >>> network(torch.rand(2, 6, 50, 61)).shape
        torch.Size([2, 1, 50, 61])
    """

    def __init__(
        self,
        spatial_dims: int = 2,
        channels: Sequence[int] = (32, 64, 128, 256),
        num_slices: int = 1,
        noise_map: bool = False,
        attention: bool = True,
        residual: bool = True,
        multi_scale: bool = False,
        head: Literal["sigmoid", "residual", "scaled_residual"] = "sigmoid",
        num_bottleneck_blocks: int = 2,
        shuffle: int = 1,
        in_channels: int | None = None,
    ) -> None:
        super().__init__()
        if num_slices < 1 or num_slices % 2 == 0:
            raise ValueError(f"num_slices must be odd and positive, got {num_slices}.")
        if spatial_dims == 3 and num_slices != 1:
            raise ValueError("num_slices must be 1 in three dimensions: the neighbours are in the volume already.")
        if shuffle < 1 or (spatial_dims == 3 and shuffle != 1):
            raise ValueError(f"shuffle must be positive, and 1 in three dimensions, got {shuffle}.")
        if len(channels) < 2:
            raise ValueError(f"channels needs at least two stages, got {tuple(channels)}.")
        if head not in ("sigmoid", "residual", "scaled_residual"):
            raise ValueError(f"head must be 'sigmoid', 'residual' or 'scaled_residual', got {head!r}.")
        if head == "scaled_residual" and not noise_map:
            raise ValueError("head 'scaled_residual' needs noise_map.")
        self.input_channels = num_slices + int(noise_map)
        self.in_channels = self.input_channels if in_channels is None else in_channels
        self.num_slices = num_slices
        self.head = head
        self.shuffle = shuffle
        self.factor = shuffle * 2 ** (len(channels) - 1)

        encoder_widths = list(channels[:-1])
        stem_channels = self.in_channels * shuffle**2
        inputs = [stem_channels, *encoder_widths[:-1]]
        self.encoders = nn.ModuleList(
            AttentionStage(spatial_dims, i, o, attention, residual, exact=number == 0)
            for number, (i, o) in enumerate(zip(inputs, encoder_widths, strict=True))
        )
        self.pool = Pool[Pool.MAX, spatial_dims](kernel_size=2)
        self.multi_scale: nn.Module | None = None
        if multi_scale:
            self.multi_scale = MultiScaleBranch(spatial_dims, stem_channels, channels[0])
        self.bottleneck = Bottleneck(
            spatial_dims, channels[-2], channels[-1], num_bottleneck_blocks, attention, residual
        )
        up = Conv[Conv.CONVTRANS, spatial_dims]
        downward = list(channels[::-1])
        self.ups = nn.ModuleList(
            up(i, o, kernel_size=2, stride=2) for i, o in zip(downward[:-1], downward[1:], strict=True)
        )
        self.decoders = nn.ModuleList(AttentionStage(spatial_dims, 2 * o, o, attention, residual) for o in downward[1:])
        self.last = Conv[Conv.CONV, spatial_dims](channels[0], shuffle**2, kernel_size=1)
        if head != "sigmoid":
            # an untrained network is then the identity
            nn.init.zeros_(self.last.weight)
            nn.init.zeros_(self.last.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Denoise.

        Args:
            x: shape (N, ``input_channels``, H, W[, D]), scaled to [0, 1].

        Returns:
            the denoised centre slice on the same scale, shape (N, 1, H, W[, D]).
        """
        y = self._at_any_size(x)
        if self.head == "sigmoid":
            return torch.sigmoid(y)
        if self.head == "scaled_residual":
            y = y * x[:, self.num_slices :]
        centre = self.num_slices // 2
        return x[:, centre : centre + 1] - y

    def _at_any_size(self, x: torch.Tensor) -> torch.Tensor:
        """The network without its head: shape (N, ``in_channels``, H, W[, D]) in, (N, 1, H, W[, D]) out."""
        size = x.shape[2:]
        pad: list[int] = []
        for n in size[::-1]:
            pad += [0, (self.factor - n % self.factor) % self.factor]
        # always padded, if only by 0 pixels: tracing would freeze a branch on the size
        y = F.pad(x, pad, mode="replicate")
        if self.shuffle > 1:
            y = F.pixel_shuffle(self._features(F.pixel_unshuffle(y, self.shuffle)), self.shuffle)
        else:
            y = self._features(y)
        y = y[:, :, : size[0], : size[1]]
        if len(size) == 3:
            y = y[..., : size[2]]
        return y

    def _features(self, x: torch.Tensor) -> torch.Tensor:
        """The U-Net without padding and head: a size that is a multiple of the pooling factor in and out."""
        skips: list[torch.Tensor] = []
        y = x
        for index, encoder in enumerate(self.encoders):
            y = encoder(y)
            if index == 0 and self.multi_scale is not None:
                y = y + self.multi_scale(x)
            skips.append(y)
            y = self.pool(y)
        y = self.bottleneck(y)
        for up, decoder in zip(self.ups, self.decoders):  # noqa: B905 (TorchScript knows no strict=)
            y = decoder(torch.cat((up(y), skips.pop()), dim=1))
        return self.last(y)
