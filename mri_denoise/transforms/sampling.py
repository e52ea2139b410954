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

from mri_denoise.transforms.contrast import apply_table, contrast_table, tissue_table
from mri_denoise.volume import find_slice_axis, is_isotropic, voxel_sizes

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
    """Cut a slab of ``num_slices`` neighbouring slices, a square in plane, as a reference for training.

    Real references are noisy themselves and would teach a network to keep that noise, and they show few contrasts. In
    this order, each at random: new intensities (:mod:`~mri_denoise.transforms.contrast`: other contrasts, and phantoms
    of flat tissues), averaging of voxels (area downsampling), thicker slices, and smoothing by a Gaussian that is equal
    in millimetres in all directions. They give references with less noise, and with other contrast, sharpness and
    resolution. Isotropic volumes are cut across any axis, others across their slice axis.

    What is given as three numbers is drawn evenly from the range between the first two with the probability of the
    third, and else left out.

    Args:
        keys: volumes of shape (1, X, Y, Z), MetaTensor for voxel sizes.
        size: pixels on each side.
        num_slices: odd number of neighbouring slices.
        blur: the Gaussian's standard deviation, in units of the smallest voxel edge of the result.
        zoom: factor of resampling, above 1 averaging voxels, below 1 interpolating; through plane too where the volume
            is isotropic.
        thickness: factor by which slices get thicker still, isotropic volumes only.
        contrast_prob: probability of a random smooth change of contrast.
        tissue_prob: probability of a phantom of flat tissues instead.
        threshold: slabs whose centre is below are drawn again, up to twenty times, except for one slab in thirty.
    """

    def __init__(
        self,
        keys: KeysCollection,
        size: int = 128,
        num_slices: int = 3,
        blur: tuple[float, float, float] = (0.0, 0.0, 0.0),
        zoom: tuple[float, float, float] = (1.0, 1.0, 0.0),
        thickness: tuple[float, float, float] = (1.0, 1.0, 0.0),
        contrast_prob: float = 0.0,
        tissue_prob: float = 0.0,
        threshold: float = 0.05,
    ) -> None:
        MapTransform.__init__(self, keys)
        self.size, self.num_slices, self.threshold = size, num_slices, threshold
        self.blur, self.zoom, self.thickness = blur, zoom, thickness
        self.contrast_prob, self.tissue_prob = contrast_prob, tissue_prob

    def choose(self, data: MetaTensor) -> Slab:
        """Axis, centre, intensities, smoothing and resampling of one slab."""
        isotropic = is_isotropic(data.affine)
        axis = int(self.R.randint(3)) if isotropic else find_slice_axis(data.affine)
        blur = self._draw(self.blur, 0.0)
        zoom = self._draw(self.zoom, 1.0)
        thickness = self._draw(self.thickness, 1.0) if isotropic else 1.0
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

    def _draw(self, chance: tuple[float, float, float], otherwise: float) -> float:
        low, high, probability = chance
        return self.R.uniform(low, high) if self.R.uniform() < probability else otherwise

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

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Slabs of shape (``num_slices``, ``size``, ``size``), the same of each key."""
        d = dict(data)
        slab = self.choose(d[self.first_key(d)])
        for key in self.key_iterator(d):
            d[key] = self.cut(d[key], slab)
        return d


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


class RandRepeatedSlicesd(MapTransform, Randomizable):
    """Show slabs as an inferer shows slices without neighbours and the ends of a volume: noisy slices repeat.

    A network that knows slabs from inside volumes alone takes what repeats, and the noise with it, for signal.

    Args:
        keys: noisy slabs of shape (C, H, W), C odd: a slice and its neighbours.
        alone_prob: probability of the slice in place of all its neighbours.
        end_prob: probability of an end: on one side, from a random slice on, the last one repeats.
    """

    def __init__(self, keys: KeysCollection, alone_prob: float = 0.0, end_prob: float = 0.0) -> None:
        MapTransform.__init__(self, keys)
        self.alone_prob, self.end_prob = alone_prob, end_prob

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Shape (C, H, W) to the same, all keys alike."""
        d = dict(data)
        draw, upper, share = self.R.random(), self.R.random() < 0.5, self.R.random()
        for key in self.key_iterator(d):
            middle = len(d[key]) // 2
            low, high = 0, 2 * middle
            if draw < self.alone_prob:
                low = high = middle
            elif draw < self.alone_prob + self.end_prob:
                beyond = int(share * middle)
                low, high = (low, middle + beyond) if upper else (middle - beyond, high)
            d[key] = d[key][torch.arange(2 * middle + 1).clamp(low, high)]
        return d
