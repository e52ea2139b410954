"""A small HMAD-Net without attention that refines the result of the collaborative filter.

The filter knows where a volume looks alike elsewhere, but treats each group of blocks by one fixed rule. This network
sees what the filter took away, in units of sigma, beside what it left, and learns what of both is signal. A network
after a non-local filter follows Cruz et al., 2018 (https://doi.org/10.1109/LSP.2018.2850222).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from mri_denoise.networks.hmad import HMADNet

_LEAST = 1e-5  # sigma where an image holds no noise


class RefineNet(HMADNet):
    """Correct a filtered slice by at most some sigma, given the noisy slices and the result of the first network.

    Args:
        channels: feature maps of each stage (:class:`~mri_denoise.networks.hmad.HMADNet`).
        num_slices: odd number of neighbouring slices that the network sees.
        shuffle: edge of the squares of pixels that become channels.

    Attributes:
        input_channels: of the input, 2 ``num_slices`` + 2.

    Raises:
        ValueError: as :class:`~mri_denoise.networks.hmad.HMADNet` does.

    Examples:
        >>> RefineNet(channels=(8, 16), num_slices=3)(torch.rand(2, 8, 50, 61)).shape
        torch.Size([2, 1, 50, 61])
    """

    def __init__(self, channels: Sequence[int] = (32, 64), num_slices: int = 3, shuffle: int = 2) -> None:
        super().__init__(
            spatial_dims=2,
            channels=channels,
            num_slices=num_slices,
            noise_map=True,
            attention=False,  # it pools over the slice, and what lies elsewhere must not change a place
            head="scaled_residual",
            shuffle=shuffle,
            in_channels=2 * num_slices + 3,
        )
        self.input_channels = 2 * num_slices + 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Refine.

        Args:
            x: shape (N, ``input_channels``, H, W), scaled to about [0, 1]: neighbouring filtered slices, the same
                slices with their noise, the centre slice as the first network gives it, and the standard deviation of
                the noise.

        Returns:
            the refined centre slice on the same scale, shape (N, 1, H, W). Where sigma is 0, it is the filtered one.
        """
        count = self.num_slices
        filtered, noisy, pilot, sigma = x.split([count, count, 1, 1], dim=1)
        centre = filtered[:, count // 2 : count // 2 + 1]
        return centre + sigma * self._at_any_size(_features(filtered, noisy, centre, pilot, sigma))


def _features(
    filtered: torch.Tensor, noisy: torch.Tensor, centre: torch.Tensor, pilot: torch.Tensor, sigma: torch.Tensor
) -> torch.Tensor:
    """What the first stage sees, each of the order of 1: shape (N, 2 ``num_slices`` + 3, H, W)."""
    level = sigma.clamp_min(_LEAST)
    return torch.cat(
        (
            0.5 * ((noisy - filtered) / level).clamp(-6, 6),
            0.15 * ((filtered - _local_mean(centre)) / level).clamp(-20, 20),
            ((pilot - centre) / level).clamp(-4, 4),
            level.log10() + 1.5,
            0.2 * (centre / level).clamp(0, 10),
        ),
        dim=1,
    )


def _local_mean(image: torch.Tensor) -> torch.Tensor:
    """Means over the squares of 10 x 10 pixels around squares of 2 x 2, shape (N, 1, H, W) in and out."""
    small = F.avg_pool2d(image, 2, ceil_mode=True, count_include_pad=False)
    # one axis after the other takes half of the time
    means = F.avg_pool2d(F.avg_pool2d(F.pad(small, [2, 2, 2, 2], mode="replicate"), (5, 1), 1), (1, 5), 1)
    return F.interpolate(means, scale_factor=2.0)[..., : image.shape[-2], : image.shape[-1]]
