"""What salt-and-pepper noise leaves alone: pixels that are neither black nor white."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.transforms import MapTransform

# a change of so much of the range can only be the removal of an impulse
LARGE_CHANGE = 0.25
EXACT_SHARE = 0.9


def keep_intermediate(
    result: torch.Tensor, noisy: torch.Tensor, white_level: float | None = None, large: float = LARGE_CHANGE
) -> torch.Tensor:
    """The denoised image with every pixel put back that no impulse has hit.

    An impulse sets a pixel to black or white, so what lies between is as it was measured, and no estimate is better.
    The adaptive median filter (Hwang and Haddad, 1995, https://doi.org/10.1109/83.370679) keeps such pixels too. Where
    impulses are not exact (a noisy picture that was saved as JPEG, interpolated or averaged since) nothing is put
    back: among the pixels that the network changed by more than ``large`` of the range, at least nine of ten must be
    black or white. An image without impulses thus comes back as it was.

    Args:
        result: what the network made of it, any shape.
        noisy: the image as it was read, same shape and unit.
        white_level: the value of white, with black 0; None takes the image's minimum and maximum.
        large: which changes count, as a share of the range.

    Returns:
        same shape and unit.
    """
    black = 0.0 if white_level is not None else float(noisy.min())
    white = float(white_level) if white_level is not None else float(noisy.max())
    extreme = (noisy <= black) | (noisy >= white)
    changed = (result - noisy).abs() > large * (white - black)
    if changed.any() and float(extreme[changed].float().mean()) < EXACT_SHARE:
        return result
    return torch.where(extreme, result, noisy)


class RestoreUncorruptedd(MapTransform):
    """Dictionary version of :func:`keep_intermediate`, for each volume of shape (X, Y, Z) by itself.

    The image as it was read is the item's ``raw``, its white level, if it has one, ``white_level``.

    Args:
        keys: denoised images of shape (T, X, Y, Z) in the file's units.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Put them back."""
        d = dict(data)
        for key in self.key_iterator(d):
            white = d.get("white_level")
            d[key] = torch.stack([keep_intermediate(r, n, white) for r, n in zip(d[key], d["raw"], strict=True)])
        return d
