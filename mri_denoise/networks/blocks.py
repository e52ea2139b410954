"""The building blocks of HMAD-Net (paper, section 3.1), in two or three spatial dimensions."""

from __future__ import annotations

import torch
from monai.networks.layers.factories import Conv
from torch import nn

from mri_denoise.networks.fused import can_fuse, convolve_add, convolve_silu, largest, weigh


class ChannelAttention(nn.Module):
    """Weigh feature maps by their global average and maximum (paper 3.1; CBAM, https://doi.org/10.1007/978-3-030-01234-2_1).

    Both pooled vectors go through the same two 1x1 convolutions; their sum, through a sigmoid, scales each feature map.

    Args:
        spatial_dims: 2 or 3.
        channels: number of feature maps.
        reduction: the hidden layer has ``channels // reduction`` maps, at least 4.
    """

    def __init__(self, spatial_dims: int, channels: int, reduction: int = 8) -> None:
        super().__init__()
        hidden = max(channels // reduction, 4)
        conv = Conv[Conv.CONV, spatial_dims]
        self.squeeze = conv(channels, hidden, kernel_size=1)
        self.act = nn.SiLU()
        self.excite = conv(hidden, channels, kernel_size=1)
        self.spatial_dims = spatial_dims

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Weigh: shape (N, C, ...) in and out; in inference on a CPU the result overwrites the input."""
        spatial = [2, 3] if self.spatial_dims == 2 else [2, 3, 4]
        pooled = torch.cat((x.mean(dim=spatial, keepdim=True), largest(x, spatial)), dim=0)
        both = self.excite(self.act(self.squeeze(pooled)))
        # cut by index: ONNX's optimiser fails on chunk() of a batch of any size
        return weigh(x, torch.sigmoid(both[: x.shape[0]] + both[x.shape[0] :]))


class SpatialAttention(nn.Module):
    """Weigh positions by a 7-wide convolution over the channels' mean and maximum (paper 3.1).

    Args:
        spatial_dims: 2 or 3.
        kernel_size: odd width of the convolution.
    """

    def __init__(self, spatial_dims: int, kernel_size: int = 7) -> None:
        super().__init__()
        self.conv = Conv[Conv.CONV, spatial_dims](2, 1, kernel_size=kernel_size, padding=kernel_size // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Weigh: shape (N, C, ...) in and out; in inference on a CPU the result overwrites the input."""
        summary = torch.cat((x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)), dim=1)
        return weigh(x, torch.sigmoid(self.conv(summary)))


class ConvolutionPair(nn.Sequential):
    """Apply convolution, SiLU, convolution, SiLU; in inference on a CPU each pair in one pass over memory.

    Args:
        modules: these four.
        exact: whether the first convolution is never computed in integers: it sees the image itself.
    """

    def __init__(self, *modules: nn.Module, exact: bool = False) -> None:
        super().__init__(*modules)
        self.exact = exact

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the layers: shape (N, C, ...) in and out."""
        if torch.jit.is_scripting():
            for module in self:
                x = module(x)
        else:
            x = self._fused(x) if can_fuse(x) else nn.Sequential.forward(self, x)
        return x

    def _fused(self, x: torch.Tensor) -> torch.Tensor:
        first, second = (module for module in self if isinstance(module, nn.Conv2d))
        return convolve_silu(second, convolve_silu(first, x, exact=self.exact))


class ResidualBlock(nn.Module):
    """Apply two 3x3 convolutions with SiLU and, if ``residual``, add the block's input to ``scale`` times the result.

    Args:
        spatial_dims: 2 or 3.
        in_channels: feature maps in; where it differs from ``out_channels`` the skip is a 1x1 projection.
        out_channels: feature maps out.
        residual: whether a skip goes around the convolutions (ablation of the paper's Table 4).
        scale: factor on the convolutions' branch: 1 in encoder and decoder, 0.2 in the bottleneck.
        exact: whether its input is the image itself (:class:`ConvolutionPair`).
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        residual: bool = True,
        scale: float = 1.0,
        exact: bool = False,
    ) -> None:
        super().__init__()
        conv = Conv[Conv.CONV, spatial_dims]
        self.body = ConvolutionPair(
            conv(in_channels, out_channels, kernel_size=3, padding=1),
            nn.SiLU(),
            conv(out_channels, out_channels, kernel_size=3, padding=1),
            nn.SiLU(),
            exact=exact,
        )
        self.residual = residual
        self.scale = scale
        self.skip: nn.Module = nn.Identity()
        if residual and in_channels != out_channels:
            self.skip = conv(in_channels, out_channels, kernel_size=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the layers: shape (N, in_channels, ...) in, (N, out_channels, ...) out."""
        y = self.body(x)
        if not self.residual:
            return y
        if torch.jit.is_scripting():
            y = self._plain_sum(x, y)
        else:
            y = self._fused_sum(x, y) if can_fuse(x) else self._plain_sum(x, y)
        return y

    def _plain_sum(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.skip(x) + (y if self.scale == 1.0 else self.scale * y)

    def _fused_sum(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Add in place where possible: nothing else holds the result of the convolutions."""
        if self.scale != 1.0:
            y.mul_(self.scale)
        if isinstance(self.skip, nn.Conv2d):
            return convolve_add(self.skip, x, y)
        return y.add_(x) if x.dtype == y.dtype else x + y


class AttentionStage(nn.Module):
    """Apply a residual block, then channel attention: a stage of the encoder or the decoder.

    Args:
        spatial_dims: 2 or 3.
        in_channels: feature maps in.
        out_channels: feature maps out.
        attention: whether channel attention follows (Table 4).
        residual: whether the block has its skip (Table 4).
        exact: whether its input is the image itself (:class:`ConvolutionPair`).
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        attention: bool = True,
        residual: bool = True,
        exact: bool = False,
    ) -> None:
        super().__init__()
        self.block = ResidualBlock(spatial_dims, in_channels, out_channels, residual, exact=exact)
        self.attention = ChannelAttention(spatial_dims, out_channels) if attention else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the layers: shape (N, in_channels, ...) in, (N, out_channels, ...) out."""
        return self.attention(self.block(x))


class Bottleneck(nn.Module):
    """Apply stacked residual blocks of residual scale 0.2, then channel attention, then spatial attention (paper 3.1).

    Args:
        spatial_dims: 2 or 3.
        in_channels: feature maps in.
        out_channels: feature maps out.
        num_blocks: number of residual blocks.
        attention: whether the two attention modules are included (Table 4).
        residual: whether the blocks have their skips (Table 4).
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        num_blocks: int = 2,
        attention: bool = True,
        residual: bool = True,
    ) -> None:
        super().__init__()
        widths = [in_channels] + [out_channels] * num_blocks
        self.blocks = nn.Sequential(
            *(
                ResidualBlock(spatial_dims, i, o, residual, scale=0.2)
                for i, o in zip(widths[:-1], widths[1:], strict=True)
            )
        )
        self.channel_attention = ChannelAttention(spatial_dims, out_channels) if attention else nn.Identity()
        self.spatial_attention = SpatialAttention(spatial_dims) if attention else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the layers: shape (N, in_channels, ...) in, (N, out_channels, ...) out."""
        return self.spatial_attention(self.channel_attention(self.blocks(x)))


class MultiScaleBranch(nn.Module):
    """Apply parallel convolutions of several kernel sizes and fuse them by a 1x1 convolution (paper, Figure 1).

    Args:
        spatial_dims: 2 or 3.
        in_channels: feature maps in.
        out_channels: feature maps out.
        kernel_sizes: odd kernel sizes of the parallel convolutions.
    """

    def __init__(
        self, spatial_dims: int, in_channels: int, out_channels: int, kernel_sizes: tuple[int, ...] = (3, 5, 7)
    ) -> None:
        super().__init__()
        conv = Conv[Conv.CONV, spatial_dims]
        width = max(out_channels // len(kernel_sizes), 1)
        self.convs = nn.ModuleList(conv(in_channels, width, kernel_size=k, padding=k // 2) for k in kernel_sizes)
        self.act = nn.SiLU()
        self.fuse = conv(width * len(kernel_sizes), out_channels, kernel_size=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the layers: shape (N, in_channels, ...) in, (N, out_channels, ...) out."""
        return self.fuse(self.act(torch.cat([conv(x) for conv in self.convs], dim=1)))
