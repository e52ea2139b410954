"""Take training slabs through random scanners."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform

from mri_denoise.transforms.arrays import as_array
from mri_denoise.transforms.draws import Level, checked_range, draw_from_range


class RandScannerNoised(MapTransform, RandomizableTransform):
    """Take slabs through a random scanner (:func:`~mri_denoise.simulation.scanner.scan`).

    Coils shade the image and filters smooth it, so the learning target changes too; it goes to ``truth_key``.

    Args:
        keys: noise-free slabs of shape (C, H, W), C neighbouring slices; all get the same noise.
        level: sigma as a share of the slab's maximum, or its range (low, high); the median over the head.
        prob: probability of a scanner; without one the slab stays as it is, and sigma is 0.
        power: above 1 favours the low end of the range: ``low + (high - low) * u**power`` with u uniform.
        channels: the most channels that coils are compressed to; fewer are faster.
        voxel: edges of a voxel in mm: across slices, then in plane.
        truth_key: name of the noise-free slab through the same scanner, in the shape of the first key.
        sigma_key: name of the map of sigma in the middle slice, shape (1, H, W).
        allow_missing_keys: whether an item may lack a key.

    Examples:
        >>> transform = RandScannerNoised("image", level=(0.01, 0.1)).set_random_state(0)
        >>> item = transform({"image": np.full((3, 64, 64), 0.5, dtype=np.float32)})
        >>> item["image"].shape, item["label"].shape, item["sigma"].shape
        (torch.Size([3, 64, 64]), torch.Size([3, 64, 64]), torch.Size([1, 64, 64]))
    """

    def __init__(
        self,
        keys: KeysCollection,
        level: Level = (0.002, 0.2),
        prob: float = 1.0,
        power: float = 1.0,
        channels: int = 8,
        voxel: Sequence[float] = (1.0, 1.0, 1.0),
        truth_key: str = "label",
        sigma_key: str = "sigma",
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        self.level, self.power, self.channels, self.voxel = checked_range(level, "level"), power, channels, voxel
        self.truth_key, self.sigma_key = truth_key, sigma_key
        self.bore_axis, self.seed = 0, 0

    def randomize(self, data: Any = None) -> None:
        """Choose whether to act, the scanner, the direction of its bore and the seed of the noise."""
        # not at the top: inference imports this package, and the scanner would slow its start
        from mri_denoise.simulation.scanner_choice import FixedParameters, random_parameters

        super().randomize(None)
        level = draw_from_range(self.level, self.R, self.power)
        self.bore_axis = int(self.R.randint(3))
        self.seed = int(self.R.randint(2**31))
        rng = np.random.default_rng([self.seed, 1])
        self.parameters = random_parameters(rng, FixedParameters(level=level), most_channels=self.channels)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Scan each key; shape (C, H, W) in and out."""
        self.randomize()
        d = dict(data)
        for index, key in enumerate(self.key_iterator(d)):
            clean = as_array(d[key], np.float32)
            if clean.ndim != 3:
                raise ValueError(f"{key}: a slab of slices, shape (C, H, W), not {clean.shape}")
            image, truth, sigma = self._scan(clean) if self._do_transform else (clean, clean, np.zeros_like(clean))
            d[key] = torch.from_numpy(image)
            if index == 0:
                d[self.truth_key] = torch.from_numpy(truth)
                d[self.sigma_key] = torch.from_numpy(sigma[len(sigma) // 2][None])
        return d

    def _scan(self, clean: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Image, truth and sigma of a slab by the scanner that was chosen."""
        from mri_denoise.simulation.scanner import scan

        rng = np.random.default_rng(self.seed)
        found = scan(clean, self.voxel, self.parameters, rng, slice_axis=0, bore_axis=self.bore_axis)
        return found.image, found.truth, found.sigma
