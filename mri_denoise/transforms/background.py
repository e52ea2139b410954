"""The two ends of a denoising chain: a case becomes a MetaTensor, and a MetaTensor a file with the case's headers."""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from mri_denoise.errors import InputError
from mri_denoise.io import Case, read
from mri_denoise.io.chunks import Chunk, chunk_of
from mri_denoise.volume import Volume, slice_axis_of

if TYPE_CHECKING:
    from mri_denoise.io.nifti.image import SeriesReader

_SLAB = 2**22  # voxels looked at at a time, which bounds the memory it takes


class LoadVolumed(MapTransform):
    """Read the case that an item names by its number.

    The item ``{"case": i}`` gets, under each key, a MetaTensor of shape (T, X, Y, Z) in the file's units with its
    affine, NaN and infinity replaced by 0 (the writer puts them back); under ``raw`` the same tensor, which no
    later transform changes; and ``slice_axis``, ``contiguous`` and, where the file defines one, ``white_level``.
    An item ``{"case": i, "volumes": part}`` (:func:`mri_denoise.io.chunks.chunks`) gets only these volumes; the
    file stays open from its first part to its last.

    Args:
        keys: where the image goes.
        cases: what :func:`mri_denoise.io.discover` found.
        picture_size: pictures (PNG, JPEG ...) are resized to so many pixels on each side, as the paper does with 256;
            None keeps their own size.
    """

    def __init__(self, keys: KeysCollection, cases: Sequence[Case], picture_size: int | None = None) -> None:
        super().__init__(keys)
        self.cases, self.picture_size = cases, picture_size
        self._series: SeriesReader | None = None

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Read."""
        d = dict(data)
        d["started"] = time.monotonic()
        case = self.cases[int(d["case"])]
        volume = self._read(case, chunk_of(d))
        array = torch.from_numpy(np.nan_to_num(volume.array, copy=False, nan=0.0, posinf=0.0, neginf=0.0))
        if self.picture_size is not None and case.kind == "image":
            size = (self.picture_size, self.picture_size)
            array = F.interpolate(array.movedim(-1, 0), size=size, mode="bilinear", antialias=True).movedim(0, -1)
        image = MetaTensor(array, affine=torch.from_numpy(np.array(volume.affine)))
        for key in self.keys:
            d[key] = image
        d["raw"] = image
        d["slice_axis"] = slice_axis_of(volume)
        d["contiguous"] = volume.contiguous
        if volume.white_level is not None:
            d["white_level"] = volume.white_level
        return d

    def _read(self, case: Case, part: Chunk) -> Volume:
        if part.whole:
            return read(case)
        from mri_denoise.io.nifti.image import SeriesReader

        if part.first or self._series is None:
            self.abandon()
            self._series = SeriesReader(case)
        volume = self._series.take(part.stop - part.start)
        if part.last:
            self.abandon()
        return volume

    def abandon(self) -> None:
        """Close what is open."""
        if self._series is not None:
            self._series.close()
        self._series = None


class EstimateNoised(MapTransform):
    """Put the noise level of each volume beside the image.

    Args:
        keys: images of shape (T, X, Y, Z) in the file's units; the first one is measured.
        sigma: ``"auto"`` estimates it (:func:`mri_denoise.noise.level.estimate_sigma`), ``"map"`` estimates it at each
            voxel (:func:`mri_denoise.noise.local.estimate_map`); a number is taken as it is, in the file's units;
            anything else is the path of a map in the image's grid, which may vary from place to place (``./map`` for a file
            of that name).

    The level goes to ``sigma``: shape (T,), or (T, X, Y, Z) for a map. With ``"auto"`` the variation of each volume's
    noise over the image, shape (T,), goes to ``sigma_variation``.

    Raises:
        InputError: for a negative number, or a map that cannot be read or has another shape.
    """

    def __init__(self, keys: KeysCollection, sigma: str | float = "auto") -> None:
        super().__init__(keys)
        self.sigma = sigma

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Measure, or take what was given."""
        d = dict(data)
        image = d[self.keys[0]]
        slice_axis = int(d.get("slice_axis", 2))
        if self.sigma == "auto":
            from mri_denoise.noise.level import estimate_series

            levels = estimate_series(np.asarray(image), slice_axis=slice_axis)
            d["sigma"] = torch.tensor([level.sigma for level in levels], dtype=torch.float32)
            d["sigma_variation"] = torch.tensor([level.variation for level in levels], dtype=torch.float32)
        else:
            d["sigma"] = self._level(image, slice_axis)
        return d

    def _level(self, image: torch.Tensor, slice_axis: int) -> torch.Tensor:
        if self.sigma == "map":
            from mri_denoise.noise.local import estimate_map

            maps = [torch.from_numpy(estimate_map(np.asarray(volume), slice_axis=slice_axis)) for volume in image]
            return torch.stack(maps)
        try:
            number = float(self.sigma)
        except ValueError:
            return self._map(Path(str(self.sigma)), tuple(image.shape))
        if not 0 <= number < np.inf:
            raise InputError(f"sigma {self.sigma}: must be a number from 0 on, in the image's own units.")
        return torch.full((image.shape[0],), number, dtype=torch.float32)

    @staticmethod
    def _map(path: Path, shape: tuple[int, ...]) -> torch.Tensor:
        from mri_denoise.io.nifti.image import read_array

        array, _ = read_array(path)
        array = array[..., None] if array.ndim == 3 else array
        if array.shape[:3] != shape[1:] or array.shape[3] not in (1, shape[0]):
            raise InputError(f"{path}: the noise map has the shape {array.shape[:3]}, the image {shape[1:]}.")
        if not np.isfinite(array).all() or (array < 0).any():
            raise InputError(f"{path}: a noise map must be finite and not negative; correct it.")
        return torch.from_numpy(np.moveaxis(array, -1, 0)).expand(shape).float()


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
