"""Rician and non-central chi noise as MONAI transforms."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.config.type_definitions import NdarrayOrTensor
from monai.transforms import MapTransform, Randomizable, RandomizableTransform, Transform
from monai.utils import convert_to_dst_type, convert_to_tensor

from mri_denoise.noise.simulate import add_rician, smooth_field
from mri_denoise.transforms.arrays import as_array
from mri_denoise.transforms.draws import (
    Chance,
    Level,
    checked_range,
    draw_by_chance,
    draw_from_choices,
    draw_from_range,
)

NEARLY_ZERO = 0.004  # of the range [0, 1]


class RicianNoise(Transform):
    """Add Rician or, with several coils, non-central chi noise of an exact sigma, the same at each call.

    Args:
        sigma: standard deviation of the noise in each channel, in the image's units.
        seed: seed of the noise.
        coils: number of receiver channels; 1 is Rician.
        coverage: below 1, the noise is correlated in plane as after zero-filling
            (:func:`~mri_denoise.noise.simulate.zero_fill`).
        masked: whether the image stays 0 where it is (nearly) 0, as after skull-stripping.
    """

    def __init__(
        self, sigma: float, seed: int = 0, coils: int = 1, coverage: float = 1.0, masked: bool = False
    ) -> None:
        self.sigma, self.seed, self.coils, self.coverage, self.masked = sigma, seed, coils, coverage, masked

    def __call__(self, img: NdarrayOrTensor, g_factor: NdarrayOrTensor | None = None) -> NdarrayOrTensor:
        """Add noise.

        Args:
            img: shape (C, ...).
            g_factor: a map that multiplies sigma and broadcasts to the image.

        Returns:
            float32, the same shape and container.
        """
        level = self.sigma if g_factor is None else self.sigma * as_array(g_factor, np.float32)
        clean = as_array(img, np.float32)
        noisy = add_rician(clean, level, np.random.default_rng(self.seed), self.coils, self.coverage)
        if self.masked:
            noisy[clean <= NEARLY_ZERO] = 0
        return convert_to_dst_type(noisy, img, dtype=np.float32)[0]  # in integers from 0 to 1 there is no noise


class RandMagnitudeNoise(RandomizableTransform):
    """Add Rician (or non-central chi) noise of a random sigma, and report it in ``sigma_map``.

    MONAI's ``RandRicianNoise`` draws sigma between 0 and ``std`` and does not report it.

    Args:
        sigma: one sigma in the image's units, or a range (low, high).
        prob: probability of adding noise at all; sigma is 0 otherwise.
        power: above 1 favours the low end of the range: ``low + (high - low) * u**power`` with u uniform.
        g_factor: (low, high, probability) of a random smooth field that multiplies sigma; None for the same sigma
            everywhere.
        coils: number of receiver channels, or several numbers of which one is chosen; 1 is Rician.
        coverage: (low, high, probability) of the fraction of k-space that was acquired, the rest being zero-filled;
            None for independent noise.
        masked_prob: probability that the image stays 0 where it is (nearly) 0.

    Examples:
        >>> transform = RandMagnitudeNoise(sigma=(0.01, 0.1)).set_random_state(0)
        >>> noisy = transform(np.full((1, 64, 64), 0.5, dtype=np.float32))
        >>> sigma = float(transform.sigma_map[0, 0, 0])
        >>> 0.01 <= sigma <= 0.1, round(float(noisy.std() / sigma), 1)
        (True, 1.0)
    """

    def __init__(
        self,
        sigma: Level = (0.0, 0.2),
        prob: float = 1.0,
        power: float = 1.0,
        g_factor: Chance | None = None,
        coils: int | Sequence[int] = 1,
        coverage: Chance | None = None,
        masked_prob: float = 0.0,
    ) -> None:
        RandomizableTransform.__init__(self, prob)
        self.sigma, self.power, self.coils = checked_range(sigma, "sigma"), power, coils
        self.g_factor, self.coverage, self.masked_prob = g_factor, coverage, masked_prob
        self.noise = RicianNoise(0.0)
        self.sigma_map: NdarrayOrTensor = np.zeros(1, dtype=np.float32)
        self._field: np.ndarray | None = None

    def randomize(self, data: NdarrayOrTensor) -> None:
        """Choose whether to act, sigma, coils, the g-factor field, the coverage and the seed."""
        super().randomize(None)
        sigma = draw_from_range(self.sigma, self.R, self.power)
        coils = int(draw_from_choices(self.coils, self.R))
        seed = int(self.R.randint(2**31))
        self._field = None
        if self.g_factor is not None:
            low, high, probability = self.g_factor
            if self.R.uniform() < probability:
                self._field = smooth_field(data.shape[1:], np.random.default_rng(seed + 1), low, high)
        masked = bool(self.R.uniform() < self.masked_prob)
        coverage = 1.0 if self.coverage is None else draw_by_chance(self.coverage, 1.0, self.R)
        self.noise = RicianNoise(sigma if self._do_transform else 0.0, seed, coils, coverage, masked)

    def __call__(self, img: NdarrayOrTensor, randomize: bool = True) -> NdarrayOrTensor:
        """Add noise and set ``sigma_map`` to sigma at each position, shape (1, ...).

        Args:
            img: shape (C, ...).
            randomize: whether new parameters are drawn first.

        Returns:
            float32, the same shape and container.
        """
        if randomize:
            self.randomize(img)
        field = np.ones(img.shape[1:], np.float32) if self._field is None else self._field
        self.sigma_map = convert_to_dst_type(self.noise.sigma * field[None], img, dtype=np.float32)[0]
        return (
            self.noise(img, self._field) if self._do_transform else convert_to_dst_type(img, img, dtype=np.float32)[0]
        )


class RicianNoised(MapTransform):
    """Dictionary version of :class:`RicianNoise`; an item may bring its own sigma under ``sigma_key``.

    Args:
        keys: images of shape (C, ...).
        sigma: used if the item has no ``sigma_key``; written to it.
        sigma_key: name of the item's own sigma.
        g_factor_key: name of the item's map of g-factors, if it has one.
        seed: seed of the noise.
        coils: number of receiver channels.
        allow_missing_keys: whether an item may lack a key.
    """

    def __init__(
        self,
        keys: KeysCollection,
        sigma: float = 0.05,
        sigma_key: str = "sigma",
        g_factor_key: str = "g_factor",
        seed: int = 0,
        coils: int = 1,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.sigma, self.sigma_key, self.g_factor_key = sigma, sigma_key, g_factor_key
        self.seed, self.coils = seed, coils

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Add noise to each key."""
        d = dict(data)
        sigma = float(d.get(self.sigma_key, self.sigma))
        noise = RicianNoise(sigma, self.seed, self.coils)
        for key in self.key_iterator(d):
            d[key] = noise(d[key], d.get(self.g_factor_key))
        d[self.sigma_key] = sigma
        return d


class RandMagnitudeNoised(MapTransform, Randomizable):
    """Dictionary version of :class:`RandMagnitudeNoise`; the map of sigma, shape (1, ...), goes to ``sigma_key``.

    Args:
        keys: images of shape (C, ...), all of which get the same noise.
        sigma: see :class:`RandMagnitudeNoise`, as for all other arguments.
        prob: probability of adding noise at all.
        power: above 1 favours the low end of the range of sigma.
        g_factor: (low, high, probability) of a random smooth field that multiplies sigma.
        coils: number of receiver channels, or several.
        coverage: (low, high, probability) of the fraction of k-space that was acquired.
        masked_prob: probability that the image stays 0 where it is (nearly) 0.
        sigma_key: name under which the map of sigma is put.
        allow_missing_keys: whether an item may lack a key.

    Examples:
        >>> noise = RandMagnitudeNoised("image", sigma=(0.01, 0.1), g_factor=(1, 2, 1.0)).set_random_state(0)
        >>> item = noise({"image": np.full((1, 64, 64), 0.5, dtype=np.float32)})
        >>> item["image"].shape, tuple(item["sigma"].shape)
        ((1, 64, 64), (1, 64, 64))
        >>> 1 < float(item["sigma"].max() / item["sigma"].min()) <= 2
        True
    """

    def __init__(
        self,
        keys: KeysCollection,
        sigma: Level = (0.0, 0.2),
        prob: float = 1.0,
        power: float = 1.0,
        g_factor: Chance | None = None,
        coils: int | Sequence[int] = 1,
        coverage: Chance | None = None,
        masked_prob: float = 0.0,
        sigma_key: str = "sigma",
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        self.sigma_key = sigma_key
        self.noise = RandMagnitudeNoise(sigma, prob, power, g_factor, coils, coverage, masked_prob)

    def set_random_state(
        self, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> RandMagnitudeNoised:
        """Seed the choices."""
        self.noise.set_random_state(seed, state)
        return self

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Add the same noise to each key, and put the map of sigma beside them."""
        d = dict(data)
        first = next(iter(self.key_iterator(d)), None)
        if first is None:
            return d
        self.noise.randomize(d[first])
        for key in self.key_iterator(d):
            d[key] = self.noise(d[key], randomize=False)
        d[self.sigma_key] = convert_to_tensor(self.noise.sigma_map, track_meta=False)
        return d
