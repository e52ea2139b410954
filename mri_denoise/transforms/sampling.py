"""Cut training data from volumes: slabs of neighbouring slices, smoothed and downsampled at random."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from monai.config import KeysCollection
from monai.config.type_definitions import NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import MapTransform, Randomizable
from scipy.ndimage import gaussian_filter1d

from mri_denoise.transforms.arrays import as_array
from mri_denoise.transforms.contrast import apply_table, contrast_table, tissue_table
from mri_denoise.transforms.draws import Chance, draw_by_chance
from mri_denoise.volume import find_slice_axis, has_thick_slices, voxel_sizes

TRUNCATE = 3.0  # standard deviations at which the Gaussian ends
_DRAWS = 20  # of a slab's centre


@dataclass(frozen=True, kw_only=True)
class Slab:
    """The parameters of one slab; see :class:`RandReferenceSlabd`.

    Args:
        axis: the axis across the slices.
        centre: voxel in the middle of the slab.
        blur: standard deviation of the Gaussian, in units of the smallest voxel edge of the result; 0 for none.
        zoom: factor of resampling; 1 for none.
        thickness: factor by which slices get thicker; 1 for none.
        table: new intensities (:mod:`~mri_denoise.transforms.contrast`); None keeps them.
    """

    axis: int
    centre: tuple[int, int, int]
    blur: float = 0.0
    zoom: float = 1.0
    thickness: float = 1.0
    table: np.ndarray | None = None


class RandReferenceSlabd(MapTransform, Randomizable):
    """Cut a slab of ``num_slices`` neighbouring slices, a square in plane, as a reference for training.

    Real references are noisy themselves and would teach a network to keep that noise, and they show few contrasts. The
    transform gives references with less noise, and with other contrast, sharpness and resolution. It applies, in this
    order and each at random: new intensities (:mod:`~mri_denoise.transforms.contrast`: other contrasts, and phantoms of
    flat tissues), averaging of voxels (area downsampling), thicker slices, and smoothing by a Gaussian that is equal in
    millimetres in all directions. Volumes without thick slices (:func:`~mri_denoise.volume.has_thick_slices`) are cut
    across any axis, others across their slice axis.

    Arguments of three numbers are (low, high, probability): with that probability a value is drawn evenly from the
    range.

    Args:
        keys: volumes of shape (1, X, Y, Z), MetaTensor for voxel sizes; without them voxels are cubes.
        size: pixels on each side.
        num_slices: odd number of neighbouring slices.
        blur: the Gaussian's standard deviation, in units of the smallest voxel edge of the result.
        zoom: factor of resampling: above 1 averages voxels, below 1 interpolates; through plane too if the volume has
            no thick slices.
        thickness: factor by which slices get thicker still; only for volumes without thick slices.
        contrast_prob: probability of a random smooth change of contrast.
        tissue_prob: probability of a phantom of flat tissues instead.
        threshold: slabs with a darker centre are drawn again, up to twenty times, except for one slab in thirty.
    """

    def __init__(
        self,
        keys: KeysCollection,
        size: int = 128,
        num_slices: int = 3,
        blur: Chance = (0.0, 0.0, 0.0),
        zoom: Chance = (1.0, 1.0, 0.0),
        thickness: Chance = (1.0, 1.0, 0.0),
        contrast_prob: float = 0.0,
        tissue_prob: float = 0.0,
        threshold: float = 0.05,
    ) -> None:
        MapTransform.__init__(self, keys)
        self.size, self.num_slices, self.threshold = size, num_slices, threshold
        self.blur, self.zoom, self.thickness = blur, zoom, thickness
        self.contrast_prob, self.tissue_prob = contrast_prob, tissue_prob

    def choose(self, data: NdarrayOrTensor) -> Slab:
        """Choose axis, centre, intensities, smoothing and resampling of one slab.

        Args:
            data: volume of shape (1, X, Y, Z).
        """
        affine = _affine_of(data)
        thick = has_thick_slices(affine)
        axis = find_slice_axis(affine) if thick else int(self.R.randint(3))
        blur = draw_by_chance(self.blur, 0.0, self.R)
        zoom = draw_by_chance(self.zoom, 1.0, self.R)
        thickness = 1.0 if thick else draw_by_chance(self.thickness, 1.0, self.R)
        kind = self.R.uniform()
        table = None
        if kind < self.tissue_prob:
            table = tissue_table(self.R)
        elif kind < self.tissue_prob + self.contrast_prob:
            table = contrast_table(self.R)
        anywhere = self.R.uniform() < 1 / 30
        for _ in range(_DRAWS):
            x, y, z = (int(self.R.randint(n)) for n in data.shape[1:])
            if anywhere or float(data[0, x, y, z]) >= self.threshold:
                break
        return Slab(axis=axis, centre=(x, y, z), blur=blur, zoom=zoom, thickness=thickness, table=table)

    def cut(self, data: NdarrayOrTensor, slab: Slab) -> torch.Tensor:
        """Cut a slab.

        Args:
            data: volume of shape (1, X, Y, Z).
            slab: its parameters (:meth:`choose`).

        Returns:
            float32, shape (``num_slices``, ``size``, ``size``).
        """
        affine = _affine_of(data)
        thick = has_thick_slices(affine)
        zooms = [slab.zoom if not thick or a != slab.axis else 1.0 for a in range(3)]
        zooms[slab.axis] *= slab.thickness
        sizes = voxel_sizes(affine) * zooms
        sigmas = [slab.blur * sizes.min() / s for s in sizes]
        wanted = [self.num_slices if a == slab.axis else self.size for a in range(3)]
        margins = [int(np.ceil(TRUNCATE * s)) if s > 0.2 else 0 for s in sigmas]
        outer = [w + 2 * m for w, m in zip(wanted, margins, strict=True)]
        inner = [max(round(o * z), 1) for o, z in zip(outer, zooms, strict=True)]
        block = np.asarray(_crop(as_array(data)[0], slab.centre, inner), dtype=np.float32)
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
        """Cut the same slab from each key: shape (1, X, Y, Z) in, (``num_slices``, ``size``, ``size``) out."""
        d = dict(data)
        slab = self.choose(d[self.first_key(d)])
        for key in self.key_iterator(d):
            d[key] = self.cut(d[key], slab)
        return d


def _affine_of(image: NdarrayOrTensor) -> np.ndarray:
    """The affine of a MetaTensor; of anything else, that of cubes of 1 mm."""
    return np.asarray(image.affine, dtype=np.float64) if isinstance(image, MetaTensor) else np.eye(4)


def _crop(volume: np.ndarray, centre: Sequence[int], shape: Sequence[int]) -> np.ndarray:
    """A block around ``centre``, moved inside if it would stick out, edge-padded if the volume is too small."""
    index, pads = [], []
    for n, c, s in zip(volume.shape, centre, shape, strict=True):
        start = min(max(c - s // 2, 0), max(n - s, 0))
        index.append(slice(start, min(start + s, n)))
        missing = max(s - n, 0)
        pads.append((missing // 2, missing - missing // 2))
    block = volume[tuple(index)]
    return np.pad(block, pads, mode="edge") if any(p != (0, 0) for p in pads) else np.ascontiguousarray(block)


class RandNoiseMapd(MapTransform, Randomizable):
    """Append the map of sigma to the image's channels, with a random error: a network then tolerates inexact estimates.

    Args:
        keys: images of shape (C, ...).
        sigma_key: name of sigma at each position, shape (1, ...).
        error: standard deviation of the logarithm of the one factor that multiplies the map.
    """

    def __init__(self, keys: KeysCollection, sigma_key: str = "sigma", error: float = 0.0) -> None:
        MapTransform.__init__(self, keys)
        self.sigma_key, self.error = sigma_key, error

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Append the map: shape (C, ...) in, (C + 1, ...) out."""
        d = dict(data)
        factor = float(np.exp(self.R.normal(0, self.error))) if self.error else 1.0
        for key in self.key_iterator(d):
            if self.sigma_key not in d:
                raise KeyError(f"{self.sigma_key}: no map of sigma in the item; add noise before, or name its key")
            image = torch.as_tensor(d[key])
            sigma = torch.as_tensor(d[self.sigma_key], dtype=image.dtype) * factor
            d[key] = torch.cat((image, sigma.expand(1, *image.shape[1:])), dim=0)
        return d


class RandRepeatedSlicesd(MapTransform, Randomizable):
    """Repeat slices in noisy slabs, as an inferer does for slices without neighbours and at the ends of a volume.

    A network that sees only slabs from inside volumes takes what repeats, noise included, for signal.

    Args:
        keys: noisy slabs of shape (C, H, W), C odd: a slice and its neighbours.
        alone_prob: probability that the slice takes the place of all its neighbours.
        end_prob: probability of an end: on one side, the last slice repeats from a random slice on.
    """

    def __init__(self, keys: KeysCollection, alone_prob: float = 0.0, end_prob: float = 0.0) -> None:
        MapTransform.__init__(self, keys)
        self.alone_prob, self.end_prob = alone_prob, end_prob

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Repeat slices, the same of each key: shape (C, H, W) in and out."""
        d = dict(data)
        draw, upper, place = self.R.random(), self.R.random() < 0.5, self.R.random()
        for key in self.key_iterator(d):
            middle = len(d[key]) // 2
            low, high = 0, 2 * middle
            if draw < self.alone_prob:
                low = high = middle
            elif draw < self.alone_prob + self.end_prob:
                beyond = int(place * middle)
                low, high = (low, middle + beyond) if upper else (middle - beyond, high)
            d[key] = d[key][torch.arange(2 * middle + 1).clamp(low, high)]
        return d


class MiddleSlabd(MapTransform):
    """Keep the slices in the middle: a quick look at a volume, for validation during training.

    Args:
        keys: volumes of shape (C, X, Y, Z), MetaTensor for the axis of acquisition.
        thickness: number of slices that are kept.
        allow_missing_keys: whether an item may lack a key.
    """

    def __init__(self, keys: KeysCollection, thickness: int = 8, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.thickness = thickness

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Cut: shape (C, X, Y, Z) in, the same with ``thickness`` slices (or fewer in a short volume) out."""
        d = dict(data)
        for key in self.key_iterator(d):
            img = d[key]
            axis = find_slice_axis(img.affine) if isinstance(img, MetaTensor) else 2
            start = max((img.shape[1 + axis] - self.thickness) // 2, 0)
            index = [slice(None)] * img.ndim
            index[1 + axis] = slice(start, start + self.thickness)
            d[key] = img[tuple(index)]
        return d
