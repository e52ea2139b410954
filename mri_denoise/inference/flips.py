"""Test-time averaging: an image is denoised in each of its mirror images, and the results are averaged.

MONAI's ``TestTimeAugmentation`` draws random transforms and keeps all results in memory. Here each mirror image is
taken once, so that no seed matters, and two sums are kept. Before that, the image is mirrored in a way that depends on
its values alone, so that a mirrored image gives the mirrored result bit for bit: the noise is measured, and numbers
are rounded, in one and the same image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import torch

Item = dict[str, Any]
TURNED = "turned"  # of an item: the axes along which it is mirrored, for what is read in the grid of the file


def axes_to_flip(image: torch.Tensor) -> tuple[int, ...]:
    """Find how to mirror an image so that all of its mirror images become the same one.

    Args:
        image: shape (T, X, Y, Z), finite.

    Returns:
        the axes, 1 to 3, along which it is to be mirrored: what comes first in lexicographic order.

    Examples:
        >>> image = torch.arange(8.0).reshape(1, 2, 2, 2)
        >>> axes_to_flip(image), axes_to_flip(image.flip(1, 3))
        ((), (1, 3))
    """
    array = np.asarray(image)
    best: tuple[int, ...] = ()
    for axes in _subsets([axis for axis in (1, 2, 3) if array.shape[axis] > 1]):
        if _comes_before(np.flip(array, axes), np.flip(array, best)):
            best = axes
    return best


def _comes_before(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether the first voxel that differs is smaller in the first image."""
    for planes in zip(first, second, strict=True):
        for a, b in zip(*planes, strict=True):
            differs = a != b
            if differs.any():
                place = np.unravel_index(int(differs.argmax()), a.shape)
                return bool(a[place] < b[place])
    return False


def _subsets(axes: Sequence[int]) -> list[tuple[int, ...]]:
    """All sets of axes, the empty one first."""
    return [chosen for count in range(len(axes) + 1) for chosen in combinations(axes, count)]


def mirror_images(shape: Sequence[int], slice_axis: int, *, contiguous: bool) -> list[tuple[int, ...]]:
    """Choose the mirror images that are averaged.

    Args:
        shape: of the image, (T, X, Y, Z).
        slice_axis: the axis across the slices, 0, 1 or 2.
        contiguous: False if slices do not belong together, so that their order means nothing.

    Returns:
        the axes, 1 to 3, of each, none first: of a volume the four that are mirrored along none or two axes, which
        gain nearly what all eight do; of a picture, or slices for themselves, the four along its two axes.

    Examples:
        >>> mirror_images((1, 64, 64, 20), 2, contiguous=True)
        [(), (1, 2), (1, 3), (2, 3)]
        >>> mirror_images((1, 64, 64, 1), 2, contiguous=True)
        [(), (1,), (2,), (1, 2)]
    """
    worth = [a for a in (1, 2, 3) if shape[a] > 1 and (contiguous or a != slice_axis + 1)]
    return [axes for axes in _subsets(worth) if len(worth) < 3 or len(axes) % 2 == 0]


def mirror(item: Mapping[str, Any], axes: Sequence[int]) -> Item:
    """Mirror an image and all that has a value for each of its voxels.

    Args:
        item: with ``image`` of shape (T, X, Y, Z).
        axes: 1 to 3.

    Returns:
        the item; what is not mirrored is shared.
    """
    if not axes:
        return dict(item)
    space = tuple(item["image"].shape[1:])
    known: dict[int, torch.Tensor] = {}  # image and raw may be the same tensor, and stay so
    turned = dict(item)
    for name, value in item.items():
        if isinstance(value, torch.Tensor) and value.ndim == 4 and tuple(value.shape[1:]) == space:
            if id(value) not in known:
                known[id(value)] = value.flip(tuple(axes))
            turned[name] = known[id(value)]
    return turned


def average(item: Item, axes: Sequence[tuple[int, ...]], denoise: Callable[[Item], Item]) -> Item:
    """Denoise mirror images and average the results.

    Sums are in float64, where those of a few float32 numbers of one size are exact: their order does not matter.

    Args:
        item: with ``image``, not mirrored.
        axes: of each mirror image; the first is none.
        denoise: gives the item its result ``pred``, and may give it ``returned``, shape (T,), and ``guard_map``, in the
            shape of the image.

    Returns:
        what ``denoise`` gives for the item, with the mean of the results as ``pred``, their standard deviation as
        ``uncertainty``, both float32 (T, X, Y, Z), the mean of ``returned``, rounded, and that of ``guard_map``.
    """
    base = denoise(dict(item))
    total = base["pred"].as_tensor().double()
    squares = total.square()
    counts = [base.get("returned")]
    for mirrored in axes[1:]:
        other = denoise(mirror(item, mirrored))
        pred = other["pred"].as_tensor().flip(mirrored).double()
        total += pred
        squares.addcmul_(pred, pred)
        counts.append(other.get("returned"))
        if isinstance(other.get("guard_map"), torch.Tensor):
            base["guard_map"] = base["guard_map"] + other["guard_map"].flip(mirrored)
    mean = total.div_(len(axes))
    base["pred"] = type(base["pred"])(mean.float(), meta=base["pred"].meta)
    base["uncertainty"] = squares.div_(len(axes)).addcmul_(mean, mean, value=-1).clamp_min_(0).sqrt_().float()
    if isinstance(base.get("guard_map"), torch.Tensor):
        base["guard_map"] = base["guard_map"] / len(axes)
    if counts[0] is not None:
        base["returned"] = torch.stack([torch.as_tensor(count) for count in counts]).double().mean(0).round().long()
    return base
