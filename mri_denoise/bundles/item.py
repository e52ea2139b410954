"""What a bundle's steps begin with, and whether they changed it."""

from __future__ import annotations

import numpy as np
import torch

from mri_denoise.bundles.parsed import Item
from mri_denoise.volume import Volume, slice_axis_of


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
