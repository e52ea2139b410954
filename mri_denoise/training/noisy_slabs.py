"""Noisy volumes as training data: slabs to learn from, and tiles of slices that are held out."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform, Randomizable

from mri_denoise.errors import InputError
from mri_denoise.noise.correlation import noise_correlation
from mri_denoise.noise.drawing import noise_filters
from mri_denoise.transforms.sampling import RandReferenceSlabd
from mri_denoise.transforms.slices import volume_to_slices
from mri_denoise.volume import nearly_isotropic

_DARK = 0.1  # slabs around less are mostly air, which says nothing of the noise in the signal


def held_out(count: int) -> list[int]:
    """Which of ``count`` slices are held out: every sixth, at least one, never the first of several."""
    return list(range(min(3, count // 2), count, 6))


def noisy_volumes(dataset: Sequence[Mapping[Hashable, Any]], max_volumes: int) -> list[dict[str, Any]]:
    """The volumes to learn from, one item each, as ``inference.yaml`` prepares them.

    Args:
        dataset: its ``dataset``: items with ``image`` of shape (T, X, Y, Z) on the scale [0, 1], ``scaled_sigma`` of
            shape (T,) or (T, X, Y, Z), ``slice_axis`` and ``contiguous``.
        max_volumes: if there are more, so many of them are taken, evenly spread.

    Returns:
        items with ``image`` (1, X, Y, Z), ``sigma`` and ``weight`` of the same shape (0 in held-out slices, else 1),
        ``filters`` (3, L) of the noise's correlation, ``contiguous``, and ``axes`` across which slices are cut: first
        that of the acquisition, then the others where inference averages three planes.

    Raises:
        InputError: if no volume holds noise and two slices.
    """
    found: list[dict[str, Any]] = []
    for source in dataset:
        image, sigma = source["image"], source["scaled_sigma"]
        axis = int(source["slice_axis"])
        for t in range(image.shape[0]):
            level = torch.as_tensor(sigma[t], dtype=torch.float32)
            if image.shape[1 + axis] > 1 and float(level.median()) > 0:
                found.append(_volume(image[t : t + 1], level, axis, bool(source["contiguous"])))
    if not found:
        raise InputError("nothing to learn from: no volume with noise and two slices or more; give other images.")
    if len(found) > max_volumes:
        found = [found[int(i)] for i in np.linspace(0, len(found) - 1, max_volumes)]
    for item in found:
        item["filters"] = torch.from_numpy(noise_filters(noise_correlation(item["image"].numpy(), item["axes"][0])))
    return found


def _volume(image: torch.Tensor, level: torch.Tensor, axis: int, contiguous: bool) -> dict[str, Any]:
    affine = image.affine if isinstance(image, MetaTensor) else None
    plain = torch.as_tensor(image.as_tensor() if isinstance(image, MetaTensor) else image, dtype=torch.float32)
    weight = torch.ones_like(plain)
    weight.movedim(1 + axis, 0)[held_out(plain.shape[1 + axis])] = 0
    item: dict[str, Any] = {"image": plain, "sigma": level.expand_as(plain).clone(), "weight": weight}
    item = {key: MetaTensor(value, affine=affine) for key, value in item.items()}
    three = contiguous and affine is not None and nearly_isotropic(tuple(plain.shape[1:]), affine)
    axes = [axis, *(a for a in range(3) if three and a != axis)]
    return {**item, "axes": axes, "contiguous": contiguous}


def fit_size(volumes: Sequence[Mapping[str, Any]], size: int) -> int:
    """``size``, or the shortest side of any slice that is cut, if that is less.

    Args:
        volumes: of :func:`noisy_volumes`.
        size: pixels.
    """
    sides = [n for v in volumes for a in v["axes"] for i, n in enumerate(v["image"].shape[1:]) if i != a]
    return min(size, *sides)


class RandNoisySlabd(MapTransform, Randomizable):
    """Cut slabs of neighbouring slices from a noisy volume, mirrored at random, never resampled.

    Args:
        keys: volumes of shape (1, X, Y, Z); the first is the image.
        size: pixels on each side, not more than a slice has.
        num_slices: odd number of neighbouring slices.
    """

    def __init__(self, keys: Sequence[str], size: int = 96, num_slices: int = 3) -> None:
        MapTransform.__init__(self, keys)
        self.cutter = RandReferenceSlabd(keys, size=size, num_slices=num_slices, threshold=_DARK)

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> RandNoisySlabd:
        """Seed the choices."""
        super().set_random_state(seed, state)
        self.cutter.set_random_state(seed, state)
        return self

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Slabs of shape (``num_slices``, ``size``, ``size``), and the filters in their order of axes."""
        d = dict(data)
        slab = self.cutter.choose(d[self.keys[0]])
        slab.axis = int(d["axes"][self.R.randint(len(d["axes"]))])
        flips = [dim for dim in (1, 2) if self.R.uniform() < 0.5]
        for key in self.keys:
            cut = self.cutter.cut(d[key], slab).flip(flips)
            d[key] = cut if d["contiguous"] else cut[cut.shape[0] // 2][None].expand_as(cut)
        order = [slab.axis, *(a for a in range(3) if a != slab.axis)]
        return {**{key: d[key] for key in self.keys}, "filters": d["filters"][order]}


def held_out_tiles(volumes: Sequence[Mapping[str, Any]], num_slices: int, size: int, most: int) -> list[dict[str, Any]]:
    """Tiles of the held-out slices, each with a seed of its own, so that its noise is the same each time.

    Args:
        volumes: of :func:`noisy_volumes`.
        num_slices: odd number of neighbouring slices.
        size: pixels on each side, at most; the middle of the slice is cut into tiles of this size.
        most: how many tiles at most; those with the most signal.

    Returns:
        items as :class:`RandNoisySlabd` gives, all of one shape where the volumes are.
    """
    tiles: list[dict[str, Any]] = []
    for volume in volumes:
        axis = int(volume["axes"][0])
        stacks = {k: volume_to_slices(volume[k].as_tensor()[0], axis, num_slices) for k in ("image", "sigma")}
        order = [axis, *(a for a in range(3) if a != axis)]
        for index in held_out(len(stacks["image"])):
            image, sigma = stacks["image"][index], stacks["sigma"][index]
            if not volume["contiguous"]:
                image = image[num_slices // 2][None].expand_as(image)
            for rows in _spans(image.shape[1], size):
                for columns in _spans(image.shape[2], size):
                    part = image[:, rows, columns]
                    tiles.append(
                        {
                            "image": part,
                            "sigma": sigma[:, rows, columns],
                            "weight": torch.ones_like(part),
                            "filters": volume["filters"][order],
                            "seed": len(tiles),
                        }
                    )
    tiles.sort(key=lambda tile: -float(tile["image"][num_slices // 2].sum()))
    return tiles[:most]


def _spans(length: int, size: int) -> list[slice]:
    """Stretches of ``size`` without overlap, in the middle of ``length``."""
    count = max(length // size, 1)
    start = max((length - count * size) // 2, 0)
    return [slice(start + i * size, min(start + (i + 1) * size, length)) for i in range(count)]
