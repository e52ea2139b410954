"""A small network that reads the level of the noise off a slice and its two neighbours.

Estimating noise by a network that is trained on simulated noise follows CBDNet (Guo et al., 2019,
https://arxiv.org/abs/1807.04686). This one sees the cosine coefficients of blocks of 4 x 4 voxels, so that its
convolutions work on a sixteenth of the positions. The signs of the coefficients show edges, which run on from block to
block; their magnitudes show the noise, which does not; the differences to the neighbouring slices show what repeats in
depth, as anatomy does.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

BLOCK = 4  # voxels of a block along each axis
CELL = 8  # voxels of a cell, for which there is one level
_LEAST = 0.1  # added to magnitudes before the logarithm, in units of the coarse level


def cosine_basis() -> torch.Tensor:
    """Return the orthonormal cosine transform of a block as convolution kernels, shape (16, 1, 4, 4)."""
    places = torch.arange(BLOCK, dtype=torch.float64)
    rows = torch.cos(math.pi * (places + 0.5) * places[:, None] / BLOCK) * math.sqrt(2 / BLOCK)
    rows[0] /= math.sqrt(2)
    return torch.einsum("ik,jl->ijkl", rows, rows).reshape(BLOCK**2, 1, BLOCK, BLOCK).float()


class ResidualLayer(nn.Module):
    """Add a dilated 3x3 and a 1x1 convolution of the input to it.

    Args:
        channels: number of feature maps.
        dilation: of the 3x3 convolution.
    """

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.wide = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.narrow = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the layer: shape (B, channels, H, W) in and out."""
        y: torch.Tensor = self.narrow(functional.silu(self.wide(functional.silu(x))))
        return x + y


class NoiseLevelNet(nn.Module):
    """Estimate the level of the noise, and the error of this estimate, in cells of 8 x 8 voxels.

    Args:
        channels: feature maps of blocks (4 voxels) and of cells (8 voxels).
        dilations: of the layers that work on cells.

    Attributes:
        input_channels: of the input, three slices.
        factor: the sides of the input are multiples of it.

    Examples:
        >>> tuple(NoiseLevelNet()(torch.rand(1, 3, 64, 48)).shape)
        (1, 2, 8, 6)
    """

    basis: torch.Tensor
    input_channels = 3
    factor = CELL

    def __init__(self, channels: tuple[int, int] = (64, 96), dilations: tuple[int, ...] = (1, 2, 4, 2)) -> None:
        super().__init__()
        fine, coarse = channels
        self.register_buffer("basis", cosine_basis(), persistent=False)
        self.stem = nn.Conv2d(4 * BLOCK**2 - 3, fine, 3, padding=1)
        self.blocks = ResidualLayer(fine, 1)
        self.down = nn.Conv2d(fine, coarse, 2, stride=2)
        self.cells = nn.ModuleList([ResidualLayer(coarse, dilation) for dilation in dilations])
        self.whole = nn.Linear(coarse, coarse)
        self.last = ResidualLayer(coarse, 1)
        self.head = nn.Conv2d(coarse, 2, 1)
        for start in self.head.parameters():
            nn.init.zeros_(start)

    def forward(self, slabs: torch.Tensor) -> torch.Tensor:
        """Estimate the levels of the slice in the middle of each slab.

        Args:
            slabs: shape (B, 3, H, W), H and W multiples of 8: a slice between its neighbours, divided by the coarse
                level (:func:`mri_denoise.noise.cells.coarse_level`); a neighbour that is missing is 0.

        Returns:
            shape (B, 2, H / 8, W / 8): natural logarithm of the level relative to the coarse one, and that of its
            expected absolute error.
        """
        x = self.down(functional.silu(self.blocks(self.stem(self._features(slabs)))))
        for layer in self.cells:
            x = layer(x)
        x = x + self.whole(functional.silu(x).mean((2, 3)))[..., None, None]
        level, error = self.head(functional.silu(self.last(x))).unbind(1)
        return torch.stack((level, error.clamp(-5, 3)), dim=1)

    def _features(self, slabs: torch.Tensor) -> torch.Tensor:
        """Logarithms of the cosine coefficients, shape (B, 61, H / 4, W / 4)."""
        here = self._coefficients(slabs[:, 1:2])
        found = [torch.sign(here) * torch.log1p(here.abs()), _log(here[:, 1:])]
        for side in (0, 2):
            there = slabs[:, side : side + 1]
            missing = there.abs().amax((1, 2, 3), keepdim=True) == 0
            change = self._coefficients((there - slabs[:, 1:2]) * math.sqrt(0.5))[:, 1:]
            found.append(torch.where(missing, torch.zeros_like(change), _log(change)))
        return torch.cat(found, dim=1)

    def _coefficients(self, slices: torch.Tensor) -> torch.Tensor:
        """Cosine coefficients of the blocks: (B, 1, H, W) to (B, 16, H / 4, W / 4)."""
        return functional.conv2d(slices, self.basis, stride=BLOCK)


def _log(coefficients: torch.Tensor) -> torch.Tensor:
    """Logarithm of their magnitude, finite at 0."""
    return torch.log(coefficients.abs() + _LEAST)
