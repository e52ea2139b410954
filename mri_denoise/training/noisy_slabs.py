"""Prepare noisy volumes as training data: slabs to learn from, and tiles of slices that are held out."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypedDict

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform, Randomizable

from mri_denoise.errors import InputError
from mri_denoise.inference.slice_plan import gather_slices
from mri_denoise.noise.correlation import noise_correlation
from mri_denoise.noise.simulate import noise_filters
from mri_denoise.transforms.sampling import RandReferenceSlabd
from mri_denoise.volume import suits_three_planes

_DARK = 0.1  # slabs with a darker centre are mostly air, which does not show the noise in the signal


class ScaledItem(TypedDict):
    """What the steps before the network give in ``inference.yaml``.

    Args:
        image: shape (T, X, Y, Z), scaled to about [0, 1].
        scaled_sigma: noise level on the same scale, shape (T,) or (T, X, Y, Z).
        slice_axis: the axis across the slices, 0, 1 or 2.
        contiguous: whether neighbouring slices may serve as context for one another.
    """

    image: torch.Tensor
    scaled_sigma: torch.Tensor
    slice_axis: int
    contiguous: bool


class NoisyVolume(TypedDict):
    """A volume to learn from.

    Args:
        image: shape (1, X, Y, Z).
        sigma: noise level, the same shape and scale.
        weight: the same shape: 0 in held-out slices, 1 elsewhere.
        filters: of the noise's correlation along the axes, shape (3, L).
        axes: across which slices are cut: that of the acquisition first, then the others if inference averages three
            planes.
        contiguous: whether neighbouring slices may serve as context for one another.
    """

    image: MetaTensor
    sigma: MetaTensor
    weight: MetaTensor
    filters: torch.Tensor
    axes: list[int]
    contiguous: bool


class NoisyTile(TypedDict):
    """A tile of a held-out slice with its neighbours.

    Args:
        image: shape (slices, H, W).
        sigma: noise level, the same shape and scale.
        weight: 1, the same shape.
        filters: of the noise's correlation along slices, rows and columns, shape (3, L).
        seed: of the noise that is added to the tile.
    """

    image: torch.Tensor
    sigma: torch.Tensor
    weight: torch.Tensor
    filters: torch.Tensor
    seed: int


def held_out(count: int) -> list[int]:
    """Choose the slices that are held out: every sixth, at least one, never the first of several.

    Args:
        count: slices of the volume.
    """
    return list(range(min(3, count // 2), count, 6))


def noisy_volumes(dataset: Sequence[ScaledItem], max_volumes: int) -> list[NoisyVolume]:
    """Take the volumes to learn from out of a dataset.

    Args:
        dataset: items as ``inference.yaml`` prepares them.
        max_volumes: if there are more volumes, so many are taken, evenly spread. Of more items than that, others are
            read only where these hold too few: thousands of scans need not fit into memory.

    Raises:
        InputError: if no volume holds noise and two slices or more.
    """
    found: list[NoisyVolume] = []
    first = sorted({int(i) for i in np.linspace(0, len(dataset) - 1, min(max_volumes, len(dataset)))})
    others = sorted(set(range(len(dataset))) - set(first))
    for place, number in enumerate([*first, *others]):
        if place >= len(first) and len(found) >= max_volumes:
            break
        source = dataset[number]
        image, axis = source["image"], int(source["slice_axis"])
        for t in range(image.shape[0]):
            level = torch.as_tensor(source["scaled_sigma"][t], dtype=torch.float32)
            if image.shape[1 + axis] > 1 and float(level.median()) > 0:
                found.append(_volume(image[t : t + 1], level, axis, bool(source["contiguous"])))
    if not found:
        raise InputError("nothing to learn from: no volume with noise and two slices or more; give other images.")
    if len(found) > max_volumes:
        found = [found[int(i)] for i in np.linspace(0, len(found) - 1, max_volumes)]
    for item in found:
        item["filters"] = torch.from_numpy(noise_filters(noise_correlation(item["image"].numpy(), item["axes"][0])))
    return found


def _volume(image: torch.Tensor, level: torch.Tensor, axis: int, contiguous: bool) -> NoisyVolume:
    """A volume of shape (1, X, Y, Z) without its filters, which take longer."""
    affine = image.affine if isinstance(image, MetaTensor) else None
    plain = torch.as_tensor(image.as_tensor() if isinstance(image, MetaTensor) else image, dtype=torch.float32)
    weight = torch.ones_like(plain)
    weight.movedim(1 + axis, 0)[held_out(plain.shape[1 + axis])] = 0
    three = contiguous and affine is not None and suits_three_planes(tuple(plain.shape[1:]), affine)
    return NoisyVolume(
        image=MetaTensor(plain, affine=affine),
        sigma=MetaTensor(level.expand_as(plain).clone(), affine=affine),
        weight=MetaTensor(weight, affine=affine),
        filters=torch.empty(0),
        axes=[axis, *(a for a in range(3) if three and a != axis)],
        contiguous=contiguous,
    )


def fit_size(volumes: Sequence[NoisyVolume], size: int) -> int:
    """Limit a size to the shortest side of any slice that is cut.

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
        size: pixels on each side, at most those of a slice.
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
        """Cut a slab.

        Args:
            data: a :class:`NoisyVolume`.

        Returns:
            the keys with slabs of shape (``num_slices``, ``size``, ``size``), and ``filters`` in their order of axes.
        """
        d = dict(data)
        slab = self.cutter.choose(d[self.keys[0]])
        slab = replace(slab, axis=int(d["axes"][self.R.randint(len(d["axes"]))]))
        flips = [dim for dim in (1, 2) if self.R.uniform() < 0.5]
        for key in self.keys:
            cut = self.cutter.cut(d[key], slab).flip(flips)
            d[key] = cut if d["contiguous"] else cut[cut.shape[0] // 2][None].expand_as(cut)
        return {**{key: d[key] for key in self.keys}, "filters": d["filters"][_order(slab.axis)]}


def held_out_tiles(volumes: Sequence[NoisyVolume], num_slices: int, size: int, most: int) -> list[NoisyTile]:
    """Cut the held-out slices into tiles, each with a seed of its own, so that its noise is the same each time.

    Args:
        volumes: of :func:`noisy_volumes`.
        num_slices: odd number of neighbouring slices.
        size: pixels on each side at most; the middle of the slice is cut into tiles of this size.
        most: number of tiles at most; those with the most signal are taken.

    Returns:
        the tiles, the brightest first, all of one shape if the volumes are.
    """
    tiles = [tile for volume in volumes for tile in _tiles(volume, num_slices, size)]
    for number, tile in enumerate(tiles):
        tile["seed"] = number
    tiles.sort(key=lambda tile: -float(tile["image"][num_slices // 2].sum()))
    return tiles[:most]


def _tiles(volume: NoisyVolume, num_slices: int, size: int) -> Iterator[NoisyTile]:
    """The tiles of a volume's held-out slices, in order."""
    axis = volume["axes"][0]
    numbers = torch.tensor(held_out(volume["image"].shape[1 + axis]))
    stacks = (volume[key].as_tensor()[0].movedim(axis, 0) for key in ("image", "sigma"))
    images, sigmas = (gather_slices(stack, numbers, num_slices) for stack in stacks)
    for image, sigma in zip(images, sigmas, strict=True):
        if not volume["contiguous"]:
            image = image[num_slices // 2][None].expand_as(image)
        for rows in _spans(image.shape[1], size):
            for columns in _spans(image.shape[2], size):
                part = image[:, rows, columns]
                yield NoisyTile(
                    image=part,
                    sigma=sigma[:, rows, columns],
                    weight=torch.ones_like(part),
                    filters=volume["filters"][_order(axis)],
                    seed=0,
                )


def _order(axis: int) -> list[int]:
    """The axes of a volume in the order slices, rows, columns."""
    return [axis, *(a for a in range(3) if a != axis)]


def _spans(length: int, size: int) -> list[slice]:
    """Stretches of ``size`` without overlap, in the middle of ``length``."""
    count = max(length // size, 1)
    start = max((length - count * size) // 2, 0)
    return [slice(start + i * size, min(start + (i + 1) * size, length)) for i in range(count)]
