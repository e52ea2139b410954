"""Salt-and-pepper noise as MONAI transforms."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.config.type_definitions import NdarrayOrTensor
from monai.transforms import MapTransform, Randomizable, RandomizableTransform, Transform
from monai.utils import convert_to_dst_type

from mri_denoise.noise.simulate import Level, add_salt_pepper, choose_level


class SaltPepperNoise(Transform):
    """Salt-and-pepper noise of an exact density, the same at each call.

    Args:
        density: share of pixels replaced, 0 to 1.
        salt_share: share of salt among them.
        seed: seed of the noise.
        low: value of black.
        high: value of white.
    """

    def __init__(
        self, density: float, salt_share: float = 0.5, seed: int = 0, low: float = 0.0, high: float = 1.0
    ) -> None:
        self.density, self.salt_share, self.seed, self.low, self.high = density, salt_share, seed, low, high

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        """Shape (C, ...) in and out."""
        rng = np.random.default_rng(self.seed)
        noisy = add_salt_pepper(np.asarray(img), self.density, rng, self.salt_share, self.low, self.high)
        return convert_to_dst_type(noisy, img)[0]


class RandSaltPepperNoise(RandomizableTransform):
    """Salt-and-pepper noise whose density is chosen anew at each call.

    Args:
        density: one density, or several of which one is chosen.
        salt_share: share of salt among the replaced pixels.
        prob: probability of adding noise at all.
        low: value of black.
        high: value of white.
    """

    def __init__(
        self,
        density: Level = (0.1, 0.2, 0.3),
        salt_share: float = 0.5,
        prob: float = 1.0,
        low: float = 0.0,
        high: float = 1.0,
    ) -> None:
        RandomizableTransform.__init__(self, prob)
        self.density, self.salt_share, self.low, self.high = density, salt_share, low, high
        self.noise = SaltPepperNoise(0.0, salt_share, 0, low, high)

    def randomize(self, data: Any = None) -> None:
        """Choose whether to act, the density and the seed."""
        super().randomize(None)
        density = choose_level(self.density, self.R, choices=True)
        self.noise = SaltPepperNoise(density, self.salt_share, int(self.R.randint(2**31)), self.low, self.high)

    def __call__(self, img: NdarrayOrTensor, randomize: bool = True) -> NdarrayOrTensor:
        """Shape (C, ...) in and out."""
        if randomize:
            self.randomize()
        return self.noise(img) if self._do_transform else img


class SaltPepperNoised(MapTransform):
    """Dictionary version of :class:`SaltPepperNoise`; the density of each item may stand under ``density_key``.

    Args:
        keys: images of shape (C, ...).
        density: used where the item has no ``density_key``.
        density_key: name of the item's own density.
        salt_share: share of salt among the replaced pixels.
        seed: seed of the noise.
        allow_missing_keys: see MONAI.
    """

    def __init__(
        self,
        keys: KeysCollection,
        density: float = 0.2,
        density_key: str = "density",
        salt_share: float = 0.5,
        seed: int = 0,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.density, self.density_key, self.salt_share, self.seed = density, density_key, salt_share, seed

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Noise on each key."""
        d = dict(data)
        noise = SaltPepperNoise(float(d.get(self.density_key, self.density)), self.salt_share, self.seed)
        for key in self.key_iterator(d):
            d[key] = noise(d[key])
        return d


class RandSaltPepperNoised(MapTransform, Randomizable):
    """Dictionary version of :class:`RandSaltPepperNoise`, with the same noise on each key.

    Args:
        keys: images of shape (C, ...).
        noise: arguments of :class:`RandSaltPepperNoise`.
    """

    def __init__(self, keys: KeysCollection, **noise: Any) -> None:
        MapTransform.__init__(self, keys)
        self.noise = RandSaltPepperNoise(**noise)

    def set_random_state(
        self, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> RandSaltPepperNoised:
        """Seed the choices."""
        self.noise.set_random_state(seed, state)
        return self

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Noise on each key."""
        d = dict(data)
        self.noise.randomize()
        for key in self.key_iterator(d):
            d[key] = self.noise(d[key], randomize=False)
        return d
