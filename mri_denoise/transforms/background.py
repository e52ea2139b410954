"""The last steps of a denoising chain: masked air stays empty, and the result is blended with the input."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

_SLAB = 2**22  # voxels looked at at a time, which bounds the memory it takes


class BlendStrengthd(MapTransform):
    """Between input, ``raw``, and full result: ``raw + strength * (image - raw)``; strength 0 is the input bit for bit.

    Args:
        keys: denoised images.
        strength: 0 to 1.

    Raises:
        ValueError: if the strength is outside of [0, 1].
    """

    def __init__(self, keys: KeysCollection, strength: float = 1.0) -> None:
        super().__init__(keys)
        if not 0 <= strength <= 1:
            raise ValueError(f"strength must lie in [0, 1], got {strength}.")
        self.strength = strength

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Blend."""
        d = dict(data)
        if self.strength == 1:
            return d
        for key in self.key_iterator(d):
            raw = d["raw"]
            d[key] = raw if self.strength == 0 else (d[key] - raw).mul_(self.strength).add_(raw)
        return d


def empty_voxels(volume: torch.Tensor) -> torch.Tensor:
    """Voxels that are exactly 0 together with all their neighbours (3 x 3 x 3): air that somebody masked.

    Args:
        volume: shape (T, X, Y, Z).

    Returns:
        boolean, same shape.
    """
    empty = volume == 0
    if not empty.any():
        return empty
    for axis in (1, 2, 3):  # one after another: 6 operations on single bytes in place of 27 on float32
        around = empty.clone()
        count = empty.shape[axis] - 1
        around.narrow(axis, 1, count).logical_and_(empty.narrow(axis, 0, count))
        around.narrow(axis, 0, count).logical_and_(empty.narrow(axis, 1, count))
        empty = around
    return empty


class RestoreBackgroundd(MapTransform):
    """Leave masked air alone: where the input is 0 all around, the result is 0.

    A network that expects noise everywhere would otherwise put a faint haze there.

    Args:
        keys: denoised images of shape (T, X, Y, Z).
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Put zeros back."""
        d = dict(data)
        for key in self.key_iterator(d):
            for image, raw in zip(d[key], d["raw"], strict=True):
                step = max(_SLAB // raw[0].numel(), 1)
                for start in range(0, len(raw), step):
                    low, stop = max(start - 1, 0), start + step
                    empty = empty_voxels(torch.as_tensor(raw)[None, low : stop + 1])[0]
                    image[start:stop][empty[start - low : stop - low]] = 0
        return d
