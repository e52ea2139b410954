"""What a bundle's steps begin with, what they found, and whether they changed the image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from mri_denoise.bundles.parsed import Item
from mri_denoise.volume import Volume, slice_axis_of

# names in `Denoised`, and in the item
_FOUND = {
    "sigma": "sigma",
    "variation": "sigma_variation",
    "zero": "zero",
    "returned": "returned",
    "cautions": "cautions",
}


def found_in(item: Mapping[Any, Any]) -> dict[str, np.ndarray | None]:
    """What the steps found, as :class:`~mri_denoise.denoiser.Denoised` names it; None where they did not look."""
    return {name: None if item.get(key) is None else np.asarray(item[key]) for name, key in _FOUND.items()}


def differing(results: torch.Tensor, inputs: torch.Tensor) -> list[bool]:
    """Tell which volumes of a result are not those of the input; both of shape (T, X, Y, Z), on any device."""
    return [not torch.equal(one.cpu(), other.cpu()) for one, other in zip(results, inputs, strict=True)]


def item_of(volume: Volume) -> Item:
    """Make the item that a bundle's steps begin with.

    Args:
        volume: what was read; its array is shared where it is finite everywhere, and never changed.

    Returns:
        ``image`` and ``raw``: the same MetaTensor of shape (T, X, Y, Z), NaN and infinity replaced by 0 (a writer puts
        them back); ``slice_axis``, ``contiguous``, ``picture`` and, where the file defines one, ``white_level``.
    """
    from monai.data import MetaTensor

    array = np.asarray(volume.array, dtype=np.float32)
    with np.errstate(invalid="ignore"):  # infinity less infinity
        finite = np.isfinite(array.sum(dtype=np.float64))
    if not finite:
        array = np.nan_to_num(array, nan=0.0, posinf=0.0, neginf=0.0)
    if not array.flags.writeable or min(array.strides) < 0:  # torch knows neither
        array = array.copy()
    image = MetaTensor(torch.from_numpy(array), affine=torch.from_numpy(np.array(volume.affine, dtype=np.float64)))
    item: Item = {"image": image, "raw": image, "slice_axis": slice_axis_of(volume), "contiguous": volume.contiguous}
    item["picture"] = volume.picture
    if volume.white_level is not None:
        item["white_level"] = volume.white_level
    return item
