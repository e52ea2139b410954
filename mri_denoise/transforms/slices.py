"""A volume to slices along its plane of acquisition, with neighbours as channels, and back."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform, Transform

from mri_denoise.volume import find_slice_axis


def volume_to_slices(volume: torch.Tensor, axis: int, num_slices: int = 1) -> torch.Tensor:
    """Every slice with its neighbours, as a batch.

    Args:
        volume: shape (X, Y, Z).
        axis: the axis across the slices.
        num_slices: odd; neighbours beyond the first and last slice repeat these.

    Returns:
        shape (N, ``num_slices``, H, W) with N the length of ``axis`` and H, W the other two axes in order.
    """
    stack = volume.movedim(axis, 0)
    if num_slices == 1:
        return stack[:, None]
    offsets = torch.arange(num_slices) - num_slices // 2
    index = (torch.arange(stack.shape[0])[:, None] + offsets).clamp(0, stack.shape[0] - 1)
    return stack[index.to(stack.device)]


def slices_to_volume(slices: torch.Tensor, axis: int) -> torch.Tensor:
    """The inverse of :func:`volume_to_slices`: the centre channel of each slice, stacked along ``axis``.

    Args:
        slices: shape (N, ``num_slices``, H, W).
        axis: the axis across the slices.

    Returns:
        shape (X, Y, Z).
    """
    return slices[:, slices.shape[1] // 2].movedim(0, axis)


class VolumeToSlices(Transform):
    """A volume as a batch of slices with their neighbours.

    Args:
        num_slices: odd number of neighbouring slices that become channels.
        axis: the axis across the slices, or None for the plane of acquisition (:func:`find_slice_axis`).
    """

    def __init__(self, num_slices: int = 1, axis: int | None = None) -> None:
        self.num_slices, self.axis = num_slices, axis

    def choose_axis(self, img: torch.Tensor) -> int:
        """The axis that will be used for ``img``."""
        if self.axis is not None:
            return self.axis
        return find_slice_axis(img.affine) if isinstance(img, MetaTensor) else 2

    def __call__(self, img: torch.Tensor) -> torch.Tensor:
        """Shape (1, X, Y, Z) in, (N, ``num_slices``, H, W) out."""
        plain = torch.as_tensor(img.as_tensor() if isinstance(img, MetaTensor) else img)
        return volume_to_slices(plain[0], self.choose_axis(img), self.num_slices)


class VolumeToSlicesd(MapTransform, InvertibleTransform):
    """Dictionary version of :class:`VolumeToSlices`; its inverse puts the volume together with its geometry.

    The item keeps the axis and the volume's metadata under ``<key>_slices``.
    """

    def __init__(
        self, keys: KeysCollection, num_slices: int = 1, axis: int | None = None, allow_missing_keys: bool = False
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        self.to_slices = VolumeToSlices(num_slices, axis)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Shape (1, X, Y, Z) to (N, ``num_slices``, H, W)."""
        d = dict(data)
        for key in self.key_iterator(d):
            img = d[key]
            d[f"{key}_slices"] = {
                "axis": self.to_slices.choose_axis(img),
                "meta": dict(img.meta) if isinstance(img, MetaTensor) else None,
            }
            d[key] = self.to_slices(img)
        return d

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Shape (N, ``num_slices`` or 1, H, W) to (1, X, Y, Z)."""
        d = dict(data)
        for key in self.key_iterator(d):
            how = d.pop(f"{key}_slices")
            volume = slices_to_volume(d[key], how["axis"])[None]
            d[key] = volume if how["meta"] is None else MetaTensor(volume, meta=how["meta"])
        return d


def middle_slab(shape: Sequence[int], axis: int, thickness: int) -> tuple[slice, ...]:
    """Index of the middle ``thickness`` slices across ``axis`` of a volume of ``shape``."""
    start = max((shape[axis] - thickness) // 2, 0)
    return tuple(slice(start, start + thickness) if a == axis else slice(None) for a in range(3))


class MiddleSlabd(MapTransform):
    """Keep the middle slices across the slice axis: a quick look at a volume, for validation during training.

    Args:
        keys: volumes of shape (C, X, Y, Z), MetaTensor for the axis of acquisition.
        thickness: number of slices kept.
        allow_missing_keys: see MONAI.
    """

    def __init__(self, keys: KeysCollection, thickness: int = 8, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.thickness = thickness

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Shape (C, X, Y, Z) to the same with ``thickness`` slices."""
        d = dict(data)
        for key in self.key_iterator(d):
            img = d[key]
            axis = find_slice_axis(img.affine) if isinstance(img, MetaTensor) else 2
            d[key] = img[(slice(None), *middle_slab(img.shape[1:], axis, self.thickness))]
        return d
