"""Estimate the noise level of each volume, or take the one that the user gives."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from mri_denoise.errors import InputError
from mri_denoise.settings import Sigma


class EstimateNoised(MapTransform):
    """Put the noise level of each volume beside the image.

    The level goes to ``sigma``: shape (T,), or (T, X, Y, Z) for a map. If one level is estimated for each volume, the
    variation of its noise over the image goes to ``sigma_variation``, shape (T,).

    Args:
        keys: images of shape (T, X, Y, Z) in the file's units; the estimate is that of the first one.
        sigma: see :meth:`mri_denoise.settings.Sigma.parse`. ``"auto"`` estimates one level for each volume
            (:func:`mri_denoise.noise.level.estimate_series`), ``"map"`` one for each voxel
            (:func:`mri_denoise.noise.local.estimate_map`); a number or the file of a map is taken as it is.

    Raises:
        InputError: if a number is negative, or a map cannot be read or has another shape.
    """

    def __init__(self, keys: KeysCollection, sigma: Sigma | str | float | PathLike[str] = "auto") -> None:
        super().__init__(keys)
        self.sigma = Sigma.parse(sigma)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Estimate the level, or take the one that was given."""
        d = dict(data)
        image = d[self.keys[0]]
        slice_axis = int(d.get("slice_axis", 2))
        if self.sigma.level is not None:
            d["sigma"] = torch.full((image.shape[0],), self.sigma.level, dtype=torch.float32)
        elif self.sigma.path is not None:
            d["sigma"] = _read_map(self.sigma.path, tuple(image.shape))
        elif self.sigma.kind == "local":
            from mri_denoise.noise.local import estimate_map

            maps = [torch.from_numpy(estimate_map(np.asarray(volume), slice_axis=slice_axis)) for volume in image]
            d["sigma"] = torch.stack(maps)
        else:
            from mri_denoise.noise.level import estimate_series

            levels = estimate_series(np.asarray(image), slice_axis=slice_axis)
            d["sigma"] = torch.tensor([level.sigma for level in levels], dtype=torch.float32)
            d["sigma_variation"] = torch.tensor([level.variation for level in levels], dtype=torch.float32)
        return d


def _read_map(path: Path, shape: tuple[int, ...]) -> torch.Tensor:
    """Read a map for an image of shape (T, X, Y, Z): one for all volumes, or one for each.

    Raises:
        InputError: if the map has another shape, or values that no noise level has.
    """
    from mri_denoise.io.nifti.image import read_array

    array, _ = read_array(path)
    array = array[..., None] if array.ndim == 3 else array
    if array.shape[:3] != shape[1:] or array.shape[3] not in (1, shape[0]):
        raise InputError(f"{path}: the noise map has the shape {array.shape[:3]}, the image {shape[1:]}.")
    if not np.isfinite(array).all() or (array < 0).any():
        raise InputError(f"{path}: a noise map must be finite and not negative; correct it.")
    return torch.from_numpy(np.moveaxis(array, -1, 0)).expand(shape).float()
