"""Random training references: slabs of neighbouring slices, cut, smoothed and downsampled at random."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Randomizable
from scipy.ndimage import gaussian_filter1d

from mri_denoise.geometry import find_slice_axis, is_isotropic, voxel_sizes
from mri_denoise.transforms.contrast import apply_table, contrast_table, tissue_table

TRUNCATE = 3.0


@dataclass
class Slab:
    """What was chosen for one slab: see :class:`RandReferenceSlabd`."""

    axis: int
    centre: tuple[int, int, int]
    blur: float
    zoom: float
    thickness: float = 1.0
    table: np.ndarray | None = None


class RandReferenceSlabd(MapTransform, Randomizable):
    """Cut ``num_samples`` slabs of ``num_slices`` neighbouring slices, a square in plane, as references for training.

    Real references are noisy themselves and would teach a network to keep that noise, and they show few contrasts. In
    this order, each at random: new intensities (:mod:`~mri_denoise.transforms.contrast`: other contrasts, and phantoms
    of flat tissues), averaging of voxels (area downsampling), thicker slices, and smoothing by a Gaussian that is equal
    in millimetres in all directions. They give references with less noise, and with other contrast, sharpness and
    resolution.

    Args:
        keys: volumes of shape (1, X, Y, Z), MetaTensor for voxel sizes.
        size: pixels on each side.
        num_slices: odd number of neighbouring slices.
        num_samples: how many slabs are cut from each volume at a call.
        blur: range of the Gaussian's standard deviation, in units of the smallest voxel edge of the result.
        blur_prob: probability of smoothing.
        zoom: range of the factor of resampling, above 1 averaging voxels, below 1 interpolating.
        zoom_prob: probability of resampling. Through plane too where the volume is isotropic.
        thickness: range of the factor by which slices get thicker still, isotropic volumes only.
        thickness_prob: probability of that.
        contrast_prob: probability of a random smooth change of contrast.
        tissue_prob: probability of a phantom of flat tissues instead.
        any_axis: cut isotropic volumes across all three axes at random, not only across the slice axis.
        threshold: slabs whose centre is below are drawn again, up to twenty times, except for one slab in thirty.
    """

    def __init__(
        self,
        keys: KeysCollection,
        size: int = 128,
        num_slices: int = 3,
        num_samples: int = 1,
        blur: tuple[float, float] = (0.3, 1.1),
        blur_prob: float = 0.0,
        zoom: tuple[float, float] = (1.0, 2.0),
        zoom_prob: float = 0.0,
        thickness: tuple[float, float] = (1.0, 5.0),
        thickness_prob: float = 0.0,
        contrast_prob: float = 0.0,
        tissue_prob: float = 0.0,
        any_axis: bool = True,
        threshold: float = 0.05,
    ) -> None:
        MapTransform.__init__(self, keys)
        self.size, self.num_slices, self.num_samples = size, num_slices, num_samples
        self.blur, self.zoom = (float(blur[0]), float(blur[1])), (float(zoom[0]), float(zoom[1]))
        self.thickness = (float(thickness[0]), float(thickness[1]))
        self.blur_prob, self.zoom_prob, self.thickness_prob = blur_prob, zoom_prob, thickness_prob
        self.contrast_prob, self.tissue_prob = contrast_prob, tissue_prob
        self.any_axis, self.threshold = any_axis, threshold

    def choose(self, data: MetaTensor) -> Slab:
        """Axis, centre, intensities, smoothing and resampling of one slab."""
        isotropic = is_isotropic(data.affine)
        axis = int(self.R.randint(3)) if isotropic and self.any_axis else find_slice_axis(data.affine)
        blur = self.R.uniform(*self.blur) if self.R.uniform() < self.blur_prob else 0.0
        zoom = self.R.uniform(*self.zoom) if self.R.uniform() < self.zoom_prob else 1.0
        thickness = self.R.uniform(*self.thickness) if isotropic and self.R.uniform() < self.thickness_prob else 1.0
        kind = self.R.uniform()
        table = None
        if kind < self.tissue_prob:
            table = tissue_table(self.R)
        elif kind < self.tissue_prob + self.contrast_prob:
            table = contrast_table(self.R)
        anywhere = self.R.uniform() < 1 / 30
        for _ in range(20):
            x, y, z = (int(self.R.randint(n)) for n in data.shape[1:])
            if anywhere or float(data[0, x, y, z]) >= self.threshold:
                break
        return Slab(axis, (x, y, z), blur, zoom, thickness, table)

    def cut(self, data: MetaTensor, slab: Slab) -> torch.Tensor:
        """The slab of shape (``num_slices``, ``size``, ``size``)."""
        isotropic = is_isotropic(data.affine)
        zooms = [slab.zoom if isotropic or a != slab.axis else 1.0 for a in range(3)]
        zooms[slab.axis] *= slab.thickness
        sizes = voxel_sizes(data.affine) * zooms
        sigmas = [slab.blur * sizes.min() / s for s in sizes]
        wanted = [self.num_slices if a == slab.axis else self.size for a in range(3)]
        margins = [int(np.ceil(TRUNCATE * s)) if s > 0.2 else 0 for s in sigmas]
        outer = [w + 2 * m for w, m in zip(wanted, margins, strict=True)]
        inner = [max(round(o * z), 1) for o, z in zip(outer, zooms, strict=True)]
        block = _crop(np.asarray(data)[0], slab.centre, inner)
        if slab.table is not None:
            block = apply_table(block, slab.table)
        if inner != outer:
            mode = "area" if slab.zoom >= 1 else "trilinear"
            block = F.interpolate(torch.from_numpy(block)[None, None], size=tuple(outer), mode=mode)[0, 0].numpy()
        for a in range(3):
            if margins[a]:
                block = gaussian_filter1d(block, sigmas[a], axis=a, truncate=TRUNCATE, mode="nearest")
        block = block[tuple(slice(m, m + w) for m, w in zip(margins, wanted, strict=True))]
        return torch.from_numpy(np.ascontiguousarray(block)).movedim(slab.axis, 0)

    def __call__(self, data: Mapping[Hashable, Any]) -> list[dict[Hashable, Any]]:
        """A list of ``num_samples`` items, each with slabs of shape (``num_slices``, ``size``, ``size``)."""
        first = next(iter(self.key_iterator(dict(data))))
        items = []
        for _ in range(self.num_samples):
            slab = self.choose(data[first])
            item = dict(data)
            for key in self.key_iterator(item):
                item[key] = self.cut(item[key], slab)
            items.append(item)
        return items


def _crop(volume: np.ndarray, centre: Sequence[int], shape: Sequence[int]) -> np.ndarray:
    """A block around ``centre``, moved inside where it would stick out, edge-padded where the volume is too small."""
    index, pads = [], []
    for n, c, s in zip(volume.shape, centre, shape, strict=True):
        start = min(max(c - s // 2, 0), max(n - s, 0))
        index.append(slice(start, min(start + s, n)))
        missing = max(s - n, 0)
        pads.append((missing // 2, missing - missing // 2))
    block = volume[tuple(index)]
    return np.pad(block, pads, mode="edge") if any(p != (0, 0) for p in pads) else np.ascontiguousarray(block)


class RandNoiseMapd(MapTransform, Randomizable):
    """Append the map of sigma to the image's channels, given with a random error so that estimates need not be exact.

    Args:
        keys: images of shape (C, ...).
        sigma_key: sigma at each position, shape (1, ...).
        error: the map is multiplied by one factor of the distribution exp(N(0, ``error``)).
    """

    def __init__(self, keys: KeysCollection, sigma_key: str = "sigma", error: float = 0.0) -> None:
        MapTransform.__init__(self, keys)
        self.sigma_key, self.error = sigma_key, error

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Shape (C, ...) to (C + 1, ...)."""
        d = dict(data)
        factor = float(np.exp(self.R.normal(0, self.error))) if self.error else 1.0
        for key in self.key_iterator(d):
            image = torch.as_tensor(d[key])
            sigma = torch.as_tensor(d[self.sigma_key], dtype=image.dtype) * factor
            d[key] = torch.cat((image, sigma.expand(1, *image.shape[1:])), dim=0)
        return d
