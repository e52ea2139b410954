"""Estimate the noise level of each volume, or take the one that the user gives."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.config.type_definitions import NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import MapTransform

from mri_denoise.errors import InputError
from mri_denoise.inference.flips import TURNED
from mri_denoise.noise.cautions import find_cautions
from mri_denoise.noise.series import counted_from_zero, find_series_noise
from mri_denoise.noise.zero_level import ZeroLevel, find_zero
from mri_denoise.settings import Sigma
from mri_denoise.transforms.arrays import as_array
from mri_denoise.volume import in_one_space, turned_to


class EstimateNoised(MapTransform):
    """Put the noise of each volume beside the image.

    The level goes to ``sigma``: shape (T,), or (T, X, Y, Z) for a map. Beside it go the floor, ``floor``, in the shape
    of ``sigma`` or (T,), and ``coils``, shape (T,) (:class:`~mri_denoise.noise.model.NoiseModel`), and the correlation
    with neighbours, ``correlation``, shape (3, lags); if they are found, also ``sigma_variation``, the ratio of high to
    low sigma in each volume, shape (T,). ``zero``, shape (T,), is the value that magnitudes count from, and ``fill``,
    shape (T,), that of masked voxels, NaN where it is ``zero``; ``sign`` is -1 where
    air is the brightest (:class:`~mri_denoise.noise.zero_level.ZeroLevel`). Voxels above ``ceiling``, shape (T,), are
    no measurement: in the image they become ``zero``, as masked ones are. ``cautions``, shape (T,), are flags of
    :class:`~mri_denoise.noise.cautions.Caution`.

    Args:
        keys: images of shape (T, X, Y, Z) in the file's units; the estimate is that of the first one. Of a long series
            they are a part: ``volumes`` beside them says which (:class:`~mri_denoise.io.chunks.Chunk`).
        sigma: see :meth:`mri_denoise.settings.Sigma.parse`; a map of shape (T or 1, X, Y, Z) beside the image, under
            ``noise_map``, takes its place. ``"auto"`` finds level, floor and correlation
            (:func:`mri_denoise.noise.series.find_series_noise`), and ``"map"`` does so with a level at each voxel even
            where it may be even; a number or the file of a map is taken as it is: the floor is Rice's then.

    Raises:
        InputError: if a number is negative, or a map cannot be read, has another shape or lies in another space.
    """

    def __init__(self, keys: KeysCollection, sigma: Sigma | str | float | PathLike[str] = "auto") -> None:
        super().__init__(keys)
        self.sigma = Sigma.parse(sigma)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Find the noise, or take the level that was given."""
        image = data[self.keys[0]]
        volumes, slice_axis = as_array(image), int(data.get("slice_axis", 2))
        affine = image.affine if isinstance(image, MetaTensor) and not data.get("picture") else None
        if data.get("white_level") is not None:  # a picture, whose black is 0
            zeros = [ZeroLevel()] * len(volumes)
        else:
            zeros = [find_zero(volume) for volume in volumes]
        start, _, total = data.get("volumes", (0, len(volumes), len(volumes)))  # which ones of a series these are
        given = data.get("noise_map")
        found = self._given(volumes.shape, affine, start, total) if given is None else given.expand(volumes.shape)
        if found is not None and found.ndim == volumes.ndim:
            found = found.flip(data.get(TURNED, ()))  # the user's map is not mirrored
        if found is None:
            noise = _find(volumes, zeros, slice_axis, as_map=self.sigma.kind == "local")
        else:
            noise = _rician(found, counted_from_zero(volumes, zeros), slice_axis)
        sigmas, variations = np.asarray(noise["sigma"]), np.asarray(noise.get("sigma_variation", [1.0] * len(volumes)))
        correlation = np.asarray(noise["correlation"])
        sure = np.asarray(noise.pop("confidence", [1.0] * len(volumes)))
        cautions = [
            find_cautions(
                volume,
                sigma,
                variation=float(variation),
                correlation=correlation,
                zero=zero,
                confidence=float(confidence),
            )
            for volume, sigma, variation, zero, confidence in zip(volumes, sigmas, variations, zeros, sure, strict=True)
        ]
        return {
            **data,
            self.keys[0]: _masked(image, zeros),
            **noise,
            "cautions": torch.tensor([int(flags) for flags in cautions]),
            "zero": torch.tensor([zero.value for zero in zeros], dtype=torch.float64),
            "sign": torch.tensor([zero.sign for zero in zeros], dtype=torch.float32),
            "fill": torch.tensor([math.nan if zero.fill is None else zero.fill for zero in zeros], dtype=torch.float32),
            "ceiling": torch.tensor([zero.ceiling for zero in zeros], dtype=torch.float32),
        }

    def _given(
        self, shape: tuple[int, ...], affine: torch.Tensor | None, start: int, total: int
    ) -> torch.Tensor | None:
        """The level by hand for volumes from ``start`` of ``total``; None if it is to be found."""
        if self.sigma.level is not None:
            return torch.full((shape[0],), self.sigma.level, dtype=torch.float32)
        if self.sigma.path is not None:
            return _read_map(self.sigma.path, shape, affine, int(start), int(total))
        return None


def _masked(image: NdarrayOrTensor, zeros: Sequence[ZeroLevel]) -> NdarrayOrTensor:
    """The image with the zero of each volume where it is no measurement; the argument itself if all of it is one."""
    if all(math.isinf(zero.ceiling) for zero in zeros):
        return image
    masked = image.clone() if isinstance(image, torch.Tensor) else image.copy()
    for volume, zero in zip(masked, zeros, strict=True):
        volume[volume > zero.ceiling] = zero.value
    return masked


def _rician(sigma: torch.Tensor, volumes: np.ndarray, slice_axis: int) -> dict[Hashable, torch.Tensor]:
    """What goes beside the image if the level is known: Rice's floor, and the correlation of neighbours."""
    from mri_denoise.noise.correlation import noise_correlation

    one = torch.ones(len(volumes), dtype=torch.float32)  # whatever the program's own default is
    correlation = torch.from_numpy(noise_correlation(volumes, slice_axis))
    return {"sigma": sigma, "floor": one, "coils": one, "correlation": correlation}


def _find(
    volumes: np.ndarray, zeros: Sequence[ZeroLevel], slice_axis: int, *, as_map: bool
) -> dict[Hashable, torch.Tensor]:
    """What goes beside the image if all of its noise is to be found."""
    models = find_series_noise(volumes, slice_axis=slice_axis, zeros=zeros, as_map=as_map)
    return {
        "sigma": _stack([model.sigma for model in models], volumes.shape[1:]),
        "floor": _stack([model.floor_ratio for model in models], volumes.shape[1:]),
        "coils": torch.tensor([model.coils for model in models], dtype=torch.float32),
        "sigma_variation": torch.tensor([model.variation for model in models], dtype=torch.float32),
        "confidence": torch.tensor([model.confidence.level for model in models], dtype=torch.float32),
        "correlation": torch.from_numpy(np.mean([model.correlation for model in models], axis=0)),
    }


def _stack(values: Sequence[np.ndarray], shape: tuple[int, ...]) -> torch.Tensor:
    """Numbers, shape (T,), if all are; otherwise maps, shape (T, X, Y, Z)."""
    if any(value.ndim for value in values):
        values = [np.broadcast_to(value, shape) for value in values]
    return torch.from_numpy(np.stack(values).astype(np.float32, copy=False))


def _read_map(path: Path, shape: tuple[int, ...], affine: torch.Tensor | None, start: int, total: int) -> torch.Tensor:
    """Read a map for an image of shape (T, X, Y, Z): one for all volumes of its series, or one for each.

    Args:
        path: of the map.
        shape: of the image, which may be a part of a series.
        affine: of the image.
        start: which volume of the series is the image's first.
        total: how many the series has.

    Raises:
        InputError: if the map has another shape or lies elsewhere, or has values that no noise level has.
    """
    from mri_denoise.io.nifti.image import read_array

    array, place = read_array(path)
    array = array[..., None] if array.ndim == 3 else array
    if affine is not None:  # the same voxels in another order of axes, as in NIfTI files of a DICOM series
        turned, where = turned_to(array, place, affine.cpu())
        if turned.shape[:3] == shape[1:] and in_one_space(affine.cpu(), where, shape[1:]):
            array, place = turned, where
    if array.shape[:3] == shape[1:] and array.shape[3] not in (1, total):
        held = f"{total} volume{'s' * (total != 1)}"
        raise InputError(f"{path}: the noise map has {array.shape[3]} volumes, the image {held}; give one, or as many.")
    if array.shape[:3] != shape[1:]:
        raise InputError(f"{path}: the noise map has the shape {array.shape[:3]}, the image {shape[1:]}.")
    if affine is not None and not in_one_space(affine.cpu(), place, shape[1:]):
        raise InputError(
            f"{path}: the noise map lies in another space than the image; resample it to the image's grid."
        )
    if array.shape[3] > 1:
        array = array[..., start : start + shape[0]]
    if not np.isfinite(array).all() or (array < 0).any():
        raise InputError(f"{path}: a noise map must be finite and not negative; correct it.")
    return torch.from_numpy(np.moveaxis(array, -1, 0)).expand(shape).float()
