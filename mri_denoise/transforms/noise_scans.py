"""Samples for the noise-level network, from the scans of :mod:`mri_denoise.training.noise_scans`."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform

from mri_denoise.noise.cells import CELL, coarse_level

_FEWEST, _FEW = 2, 8  # cells along an axis of a smaller part


class LoadNoiseScand(MapTransform):
    """Read scans: the path under each key becomes a dictionary of arrays.

    ``image`` is float32, shape (X, Y, slices), divided by its coarse level
    (:func:`~mri_denoise.noise.cells.coarse_level`); ``label`` is float32, shape (2, X // 8, Y // 8, slices):
    the logarithm of sigma relative to the coarse level, and the fraction of tissue.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Read the scans."""
        found = dict(data)
        for key in self.key_iterator(found):
            with np.load(found[key], allow_pickle=False) as stored:
                image = stored["image"].astype(np.float32)
                level, tissue = stored["level"], stored["tissue"].astype(np.float32)
            coarse = coarse_level([image[..., number] for number in range(image.shape[2])]) or 1.0
            label = np.stack([level - np.float32(np.log(coarse)), tissue])
            found[key] = {"image": image / np.float32(coarse), "label": label}
        return found


class RandNoiseScanCropd(RandomizableTransform, MapTransform):
    """Cut a random part of a random slice, with its neighbours, from what :class:`LoadNoiseScand` read.

    The key then holds the image, float32, shape (3, size, size), and ``label`` its label, (2, size / 8, size / 8).
    Smaller slices are padded with zeros, without tissue. Of four parts the first one that is a third tissue is taken,
    or else the one with most of it. A few parts are smaller, as small images are.

    Args:
        keys: one key.
        size: edge of the part in voxels, a multiple of 8.
        alone: probability that a neighbour is missing.
        scale: standard deviation of the logarithm of a random change of the coarse level.
        offset: probability that a constant is added, as in images that do not count from 0.
        small: probability that a part is smaller: 2 to 8 cells along each axis.
    """

    def __init__(
        self,
        keys: KeysCollection,
        size: int = 128,
        alone: float = 0.1,
        scale: float = 0.2,
        offset: float = 0.08,
        small: float = 0.15,
    ) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, 1.0)
        self.size, self.alone, self.scale, self.offset, self.small = size, alone, scale, offset, small

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Cut the part."""
        found = dict(data)
        for key in self.key_iterator(found):
            found[key], found["label"] = self._cut(found[key]["image"], found[key]["label"])
        return found

    def _cut(self, image: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The part of an image and of its label."""
        number = int(self.R.randint(image.shape[2]))
        cells = self._cells(label.shape[1:3])
        part = self._choose(label[1, ..., number], cells)
        first, second = (slice(CELL * edge.start, CELL * edge.stop) for edge in part)
        slab = np.zeros((3, self.size, self.size), dtype=np.float32)
        rows, columns = (CELL * count for count in cells)
        for place, index in enumerate((number - 1, number, number + 1)):
            if 0 <= index < image.shape[2] and (place == 1 or self.R.random() > self.alone):
                slab[place, :rows, :columns] = image[first, second, index]
        factor = float(np.exp(self.R.normal(0, self.scale)))
        cut = np.zeros((2, self.size // CELL, self.size // CELL), dtype=np.float32)
        cut[:, : cells[0], : cells[1]] = label[:, part[0], part[1], number]
        cut[0] -= np.float32(np.log(factor))
        if self.R.random() < self.offset:
            present = (slab[:, :rows, :columns].max(axis=(1, 2)) > 0)[:, None, None]
            slab[:, :rows, :columns] += np.float32(self.R.uniform(0.1, 1.5) * slab[1].max()) * present
        return slab / np.float32(factor), cut

    def _cells(self, shape: tuple[int, ...]) -> list[int]:
        """How many cells a part has along both axes."""
        most = self.size // CELL
        if self.R.random() >= self.small:
            return [min(most, length) for length in shape]
        return [min(most, length, int(self.R.randint(_FEWEST, _FEW + 1))) for length in shape]

    def _choose(self, tissue: np.ndarray, cells: list[int]) -> tuple[slice, slice]:
        """A part of a slice, in cells."""
        best, most = (slice(0, cells[0]), slice(0, cells[1])), -1.0
        for _ in range(4):
            first, second = (
                int(self.R.randint(length - count + 1)) for length, count in zip(tissue.shape, cells, strict=True)
            )
            part = slice(first, first + cells[0]), slice(second, second + cells[1])
            share = float(tissue[part].mean())
            if share > most:
                best, most = part, share
            if share > 0.3:
                break
        return best
