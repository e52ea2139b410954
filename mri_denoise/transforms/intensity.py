"""Scale intensities robustly and invertibly."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.config.type_definitions import NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform

from mri_denoise.inference.parts import solid_parts
from mri_denoise.sampling import sample_step
from mri_denoise.transforms.arrays import as_array, as_tensor

SAMPLE = 4_000_000  # voxels from which percentiles are taken
_SLAB = 2**20  # voxels


def robust_range(image: np.ndarray, upper: float = 99.9) -> tuple[float, float]:
    """Find the value that becomes 0 and the width that becomes 1.

    Zero stays zero if (nearly) no voxel is negative, because Rice's distribution counts from there; signed images start
    at their ``100 - upper`` percentile. Nothing is clipped: brighter voxels become values above 1.

    Args:
        image: any shape; NaN and infinity are ignored.
        upper: percentile that becomes 1, or the maximum if that percentile is 0.

    Returns:
        (lower, width) with a positive width; (0, 1) if the image is zero or has no finite voxel.
    """
    values = np.asarray(image).reshape(-1)
    values = values[:: sample_step(values.size, SAMPLE)]
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    # not interpolated: of few voxels one that is far too bright would count
    low = float(np.percentile(values, 100 - upper, method="higher")) if values.min() < 0 else 0.0
    high = float(np.percentile(values, upper, method="lower"))
    lower = min(low, 0.0)
    width = high - lower
    if width <= 0:
        finite = np.asarray(image)[np.isfinite(image)]
        width = float(finite.max()) - lower
    return (lower, width) if width > 0 else (lower, abs(lower) or 1.0)


class ScaleIntensityRobust(InvertibleTransform):
    """Scale each channel to about [0, 1] by :func:`robust_range`, with an inverse that is exact to float32's rounding.

    Both directions are computed in float64 and stored in float32. No voxel is clipped. The inverse differs from the
    original by at most one unit in the last place if the lower bound is 0, otherwise by at most two units in the last
    place of the larger of the voxel and the lower bound.

    Args:
        upper: percentile that becomes 1.
    """

    def __init__(self, upper: float = 99.9) -> None:
        self.upper = upper

    def __call__(
        self,
        img: NdarrayOrTensor,
        white_level: float | None = None,
        zero: Sequence[float] | None = None,
        fill: Sequence[float] | None = None,
        sign: Sequence[float] | None = None,
    ) -> MetaTensor:
        """Scale.

        Args:
            img: shape (C, ...).
            white_level: the value that becomes 1, with 0 kept (255 for 8-bit pictures); None for the percentile.
            zero: the value of each channel that becomes 0; 0 or None for the usual one.
            fill: another value of each channel that becomes 0, that of masked voxels; NaN or None for no other. These
                voxels do not come back by the inverse.
            sign: -1 for channels whose air is the brightest: lower values become higher ones.

        Returns:
            float32, shape (C, ...).
        """
        plain = as_tensor(img)
        if white_level is not None:
            ranges = [(0.0, float(white_level))] * plain.shape[0]
        else:
            fills = [math.nan] * plain.shape[0] if fill is None else fill
            solid = [_solid(channel.cpu(), value) for channel, value in zip(plain, fills, strict=True)]
            ranges = [robust_range(values, self.upper) for values in solid]
            if zero is not None:
                signs = [1.0] * plain.shape[0] if sign is None else sign
                ranges = [
                    _mirrored(values, value, self.upper) if side < 0 else _from_zero(given, value)
                    for given, values, value, side in zip(ranges, solid, zero, signs, strict=True)
                ]
        out = torch.empty(plain.shape, dtype=torch.float32, device=plain.device)
        for channel, (lower, width) in enumerate(ranges):
            for part, scaled in zip(_slabs(plain[channel]), _slabs(out[channel]), strict=True):
                scaled.copy_((part.double() - lower) / width)
                if fill is not None and not math.isnan(fill[channel]):
                    scaled.masked_fill_(part == fill[channel], 0)
        result = _like(out, img)
        self.push_transform(result, extra_info={"ranges": ranges})
        return result

    def inverse(self, img: MetaTensor) -> MetaTensor:
        """Scale back to the original units, in place where torch allows.

        The result is on the CPU, because the computation takes float64, which Apple's GPUs lack, and files are written
        from there.

        Args:
            img: shape (C, ...), with the history of the forward transform.

        Returns:
            float32, the same shape.
        """
        ranges = self.pop_transform(img)["extra_info"]["ranges"]
        plain = img.as_tensor().cpu()
        if plain.is_inference() and not torch.is_inference_mode_enabled():
            plain = plain.clone()
        for channel, (lower, width) in enumerate(ranges):
            for part in _slabs(plain[channel]):
                part.copy_(part.double() * width + lower)
        return _like(plain, img)


def _from_zero(given: tuple[float, float], zero: float) -> tuple[float, float]:
    """A range that begins at the zero of an image, if that is not 0."""
    lower, width = given
    return (zero, lower + width - zero) if zero and lower + width > zero else given


def _mirrored(values: np.ndarray, zero: float, upper: float) -> tuple[float, float]:
    """A range that runs from the zero of an image down, if its air is the brightest: the width is negative."""
    _, width = robust_range(zero - values, upper)
    return zero, -width


def _solid(channel: torch.Tensor, fill: float) -> np.ndarray:
    """The voxels outside of a mask and of blank planes, whose value (padding) says nothing of the image's range."""
    if not math.isnan(fill):
        return as_array(channel[channel != fill])
    parts = list(solid_parts(channel)) if channel.ndim == 3 else []
    if len(parts) == 1 and channel[parts[0]].shape == channel.shape:
        return as_array(channel)
    return np.concatenate([as_array(channel[part]).ravel() for part in parts]) if parts else as_array(channel)


def _slabs(channel: torch.Tensor) -> Sequence[torch.Tensor]:
    """Views that together are the channel, each small enough for a copy in float64."""
    return channel.split(max(_SLAB * len(channel) // max(channel.numel(), 1), 1)) if channel.ndim else (channel,)


def _like(data: torch.Tensor, img: NdarrayOrTensor) -> MetaTensor:
    """``data`` with the metadata and the history of ``img``."""
    if not isinstance(img, MetaTensor):
        return MetaTensor(data)
    result = MetaTensor(data, meta=img.meta)
    result.applied_operations = list(img.applied_operations)
    return result


def _zeros(item: Mapping[Hashable, Any]) -> list[list[float] | None]:
    """The values of an item that become 0, for each channel."""
    return [torch.as_tensor(item[name]).tolist() if name in item else None for name in ("zero", "fill", "sign")]


class ScaleIntensityRobustd(MapTransform, InvertibleTransform):
    """Dictionary version of :class:`ScaleIntensityRobust`, which scales the noise level too.

    If the item has a ``sigma`` in the image's units, shape (C,) or (C, ...), it is kept, and the level on the scale of
    the first key goes to ``scaled_sigma``. If the item has a ``white_level``, it becomes 1 in place of the percentile.
    If the image counts from another value than 0, ``zero``, or masked voxels have another value, ``fill``, both of
    shape (C,) (:class:`~mri_denoise.transforms.EstimateNoised`), these become 0.

    Args:
        keys: images of shape (C, ...).
        upper: percentile that becomes 1.
        allow_missing_keys: whether an item may lack a key.

    Examples:
        >>> scale = ScaleIntensityRobustd("image", upper=100)
        >>> item = scale({"image": torch.tensor([[0.0, 50.0, 200.0]]), "sigma": torch.tensor([4.0])})
        >>> item["image"].tolist(), round(float(item["scaled_sigma"]), 3)
        ([[0.0, 0.25, 1.0]], 0.02)
        >>> scale.inverse(item)["image"].tolist()
        [[0.0, 50.0, 200.0]]
    """

    def __init__(self, keys: KeysCollection, upper: float = 99.9, allow_missing_keys: bool = False) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        self.scaler = ScaleIntensityRobust(upper)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Scale each key by its own range, and sigma by the first key's."""
        d = dict(data)
        for number, key in enumerate(self.key_iterator(d)):
            d[key] = self.scaler(d[key], d.get("white_level"), *_zeros(d))
            if number == 0 and "sigma" in d:
                sigma = torch.as_tensor(d["sigma"], dtype=torch.float32)
                ranges = d[key].applied_operations[-1]["extra_info"]["ranges"]
                widths = torch.tensor([abs(width) for _, width in ranges], dtype=torch.float32).reshape(
                    -1, *[1] * (sigma.ndim - 1)
                )
                d["scaled_sigma"] = sigma / widths
        return d

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Scale each key back to its original units."""
        d = dict(data)
        for key in self.key_iterator(d):
            d[key] = self.scaler.inverse(d[key])
        return d
