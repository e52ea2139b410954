"""Samples for the refining network, from the crops of :mod:`mri_denoise.training.filtered`."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform

from mri_denoise.inference.slice_plan import gather_slices

GREYS = 16000  # of the scale's maximum, in the files; brighter voxels have room up to twice that
_TISSUE, _ENOUGH = 0.05, 0.3  # intensity of tissue, and the fraction of a part that should be tissue


class LoadFilteredd(MapTransform):
    """Read crops: the path under each key becomes a dictionary of the arrays in the file.

    ``truth``, ``noisy``, ``pilot`` and ``filtered`` stay int16, shape (slices, H, W), so that thousands of crops fit
    into memory.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Read the crops."""
        found = dict(data)
        for key in self.key_iterator(found):
            with np.load(found[key], allow_pickle=False) as stored:
                found[key] = {name: stored[name] for name in stored.files}
        return found


class RandFilteredPartd(RandomizableTransform, MapTransform):
    """Cut a random part of a random slice, with its neighbours, from what :class:`LoadFilteredd` read.

    The key then holds what :class:`~mri_denoise.networks.refine.RefineNet` takes, float32, shape (2 ``num_slices`` + 2,
    size, size), and ``label`` the truth and sigma, (2, size, size). Smaller slices are extended by their edges. Of
    twelve parts, of any slice, the first one with enough tissue is taken, or else the one with most of it.

    Args:
        keys: one key.
        size: edge of the part in pixels.
        num_slices: odd number of slices that the network sees.
        alone: probability that a slice takes the place of its neighbours.
    """

    def __init__(self, keys: KeysCollection, size: int = 64, num_slices: int = 3, alone: float = 0.1) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, 1.0)
        self.size, self.num_slices, self.alone = size, num_slices, alone

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Cut the part."""
        found = dict(data)
        for key in self.key_iterator(found):
            found[key], found["label"] = self._cut(found[key])
        return found

    def _cut(self, crop: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Input and label of one part."""
        number, rows, columns = self._choose(crop["truth"])
        count = self.num_slices if bool(crop["contiguous"]) and self.R.random() >= self.alone else 1

        def slab(name: str, slices: int) -> np.ndarray:
            stack = torch.from_numpy(crop[name][:, rows, columns])
            gathered = gather_slices(stack, torch.tensor([number]), slices)[0].numpy()
            return gathered.astype(np.float32) / np.float32(GREYS)

        sigma = crop["sigma"]
        level = sigma if sigma.ndim == 0 else sigma[number, rows, columns]
        images = [np.repeat(slab(name, count), self.num_slices // count, axis=0) for name in ("filtered", "noisy")]
        pilot, truth = slab("pilot", 1), slab("truth", 1)
        whole = np.concatenate([*images, pilot, np.broadcast_to(level, pilot.shape), truth])
        missing = [(0, 0), *((0, self.size - length) for length in whole.shape[1:])]
        whole = np.pad(whole, missing, mode="edge").astype(np.float32)
        return whole[:-1], whole[[-1, -2]]

    def _choose(self, truth: np.ndarray) -> tuple[int, slice, slice]:
        """A part of a slice."""
        best, most = (0, slice(None), slice(None)), -1.0
        for _ in range(12):
            number = int(self.R.randint(len(truth)))
            first, second = (int(self.R.randint(max(length - self.size, 0) + 1)) for length in truth.shape[1:])
            part = number, slice(first, first + self.size), slice(second, second + self.size)
            share = float(np.mean(truth[part] > _TISSUE * GREYS))
            if share > most:
                best, most = part, share
            if share > _ENOUGH:
                break
        return best
