"""Resize pictures, as the paper does to 256 x 256."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform


class ResizePictured(MapTransform):
    """Resize pictures bilinearly, with antialiasing; scans, whose items do not say ``picture``, keep their grid.

    Args:
        keys: images of shape (1, H, W, 1).
        size: pixels on each side; None keeps the size.
    """

    def __init__(self, keys: KeysCollection, size: int | None = None) -> None:
        super().__init__(keys)
        self.size = size

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Resize each key."""
        d = dict(data)
        if self.size is None or not d.get("picture", False):
            return d
        resized: dict[int, torch.Tensor] = {}  # image and raw may be the same tensor, and stay so
        for key in self.key_iterator(d):
            image = d[key]
            if id(image) not in resized:
                plain = torch.as_tensor(image).as_subclass(torch.Tensor).movedim(-1, 0)
                grid = F.interpolate(plain, size=(self.size, self.size), mode="bilinear", antialias=True)
                resized[id(image)] = MetaTensor(grid.movedim(0, -1), affine=image.affine)
            d[key] = resized[id(image)]
        return d
