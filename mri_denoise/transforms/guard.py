"""Give back what a denoiser removed and noise does not explain."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from mri_denoise.inference.floor import match_floor
from mri_denoise.inference.guard import return_signal
from mri_denoise.inference.parts import solid_parts
from mri_denoise.threads import one_thread_each

_NOISE = ("scaled_sigma", "floor", "coils")  # of each volume


class ReturnSignald(MapTransform):
    """Compare input and result, and return what is too large for noise (:mod:`mri_denoise.inference.guard`).

    It comes after the network and takes the item as :class:`~mri_denoise.transforms.ScaleIntensityRobustd` and
    :class:`~mri_denoise.transforms.EstimateNoised` leave it: ``image``, ``scaled_sigma``, ``floor``, ``coils`` and
    ``correlation``. The number of voxels of each volume that changed, other than below
    the image's lowest value and 0, goes to ``returned``, shape (T,). If the item has
    ``guard_map``, a map of them goes there: float32 (T, X, Y, Z), 1 where something came back, 0 elsewhere.

    Args:
        keys: results of shape (T, X, Y, Z) on the scale of ``image``.
        enabled: False leaves everything as it is.
    """

    def __init__(self, keys: KeysCollection, enabled: bool = True) -> None:
        super().__init__(keys)
        self.enabled = enabled

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return signal to each key."""
        d = dict(data)
        if not self.enabled:
            return d
        for key in self.key_iterator(d):
            shown = torch.zeros_like(_plain(d[key]), dtype=torch.float32) if "guard_map" in d else None
            with one_thread_each():
                d["returned"] = torch.tensor(_return(d, key, shown))
            if shown is not None:
                d["guard_map"] = shown
        return d


def _return(item: Mapping[Hashable, Any], key: Hashable, shown: torch.Tensor | None) -> list[int]:
    """Return signal to each volume; the number of voxels that changed in each, which become 1 in the map ``shown``."""
    correlation = np.asarray(item["correlation"]).reshape(3, -1)
    images, results = (_plain(item[name]) for name in ("image", key))
    counts = []
    for t, (image, result) in enumerate(zip(images, results, strict=True)):
        level, floor, coils = (_plain(item[name])[t].to(image) for name in _NOISE)
        count = 0
        for part in solid_parts(image):  # as the network took it
            if torch.equal(image[part], result[part]):
                continue
            local, ratio = (value if value.ndim == 0 else value[part] for value in (level, floor))
            noisy, local = match_floor(image[part], local, ratio, float(coils))
            lowest = min(float(image[part].min()), 0.0)  # below it, all becomes the same in the end
            changed = None if shown is None else shown[t][part]
            count += return_signal(noisy, result[part], local, correlation, lowest=lowest, changed=changed)
        counts.append(count)
    return counts


def _plain(value: Any) -> torch.Tensor:
    """The same memory without metadata, which MONAI looks after in each of thousands of operations."""
    return value.as_tensor() if isinstance(value, MetaTensor) else torch.as_tensor(value)
