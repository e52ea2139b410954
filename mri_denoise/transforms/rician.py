"""Rician and non-central chi noise as MONAI transforms."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.config.type_definitions import NdarrayOrTensor
from monai.transforms import MapTransform, Randomizable, RandomizableTransform, Transform
from monai.utils import convert_to_dst_type, convert_to_tensor

from mri_denoise.noise.simulate import Level, add_rician, choose_level, smooth_field

# of the range [0, 1]
NEARLY_ZERO = 0.004


class RicianNoise(Transform):
    """Rician or, with several coils, non-central chi noise of an exact sigma, the same at each call.

    Args:
        sigma: standard deviation of the noise in each channel, in the image's units.
        seed: seed of the noise.
        coils: number of receiver channels; 1 is Rician.
        band: below 1, noise correlated in plane as after zero-filling
            (:func:`~mri_denoise.noise.simulate.limit_band`).
        masked: no noise where the image is (nearly) zero, as after skull-stripping.
    """

    def __init__(self, sigma: float, seed: int = 0, coils: int = 1, band: float = 1.0, masked: bool = False) -> None:
        self.sigma, self.seed, self.coils, self.band, self.masked = sigma, seed, coils, band, masked

    def __call__(self, img: NdarrayOrTensor, g_factor: NdarrayOrTensor | None = None) -> NdarrayOrTensor:
        """Shape (C, ...) in and out; ``g_factor`` is a map that multiplies sigma and broadcasts to the image."""
        level = self.sigma if g_factor is None else self.sigma * np.asarray(g_factor, dtype=np.float32)
        clean = np.asarray(img, dtype=np.float32)
        noisy = add_rician(clean, level, np.random.default_rng(self.seed), self.coils, self.band)
        if self.masked:
            noisy[clean <= NEARLY_ZERO] = 0
        return convert_to_dst_type(noisy, img)[0]


class RandMagnitudeNoise(RandomizableTransform):
    """Rician (or non-central chi) noise whose exact sigma is chosen anew at each call.

    MONAI's ``RandRicianNoise`` draws sigma between 0 and ``std`` without telling which; this one tells (``sigma_map``).

    Args:
        sigma: one sigma in the image's units, or a range (low, high).
        prob: probability of adding noise at all; sigma is 0 otherwise.
        power: above 1 favours the low end of the range: low + (high - low) u^power with u uniform.
        g_factor: a range (low, high) of random smooth fields that multiply sigma, or None for the same sigma
            everywhere.
        g_factor_prob: how often such a field is used.
        coils: number of receiver channels, or several of which one is chosen; 1 is Rician.
        band: range of the share of k-space that was measured, or None for independent noise.
        band_prob: how often noise is correlated so.
        masked_prob: how often there is no noise where the image is (nearly) zero.
    """

    def __init__(
        self,
        sigma: Level = (0.0, 0.2),
        prob: float = 1.0,
        power: float = 1.0,
        g_factor: Sequence[float] | None = None,
        g_factor_prob: float = 0.0,
        coils: int | Sequence[int] = 1,
        band: Sequence[float] | None = None,
        band_prob: float = 0.0,
        masked_prob: float = 0.0,
    ) -> None:
        RandomizableTransform.__init__(self, prob)
        self.sigma, self.power, self.coils = sigma, power, coils
        self.g_factor, self.g_factor_prob = g_factor, g_factor_prob
        self.band, self.band_prob, self.masked_prob = band, band_prob, masked_prob
        self.noise = RicianNoise(0.0)
        self.sigma_map: NdarrayOrTensor = np.zeros(1, dtype=np.float32)
        self._field: np.ndarray | None = None

    def randomize(self, data: NdarrayOrTensor) -> None:
        """Choose whether to act, sigma, coils, the g-factor field and the seed."""
        super().randomize(None)
        sigma = choose_level(self.sigma, self.R, choices=False, power=self.power)
        coils = int(choose_level(self.coils, self.R, choices=True))
        seed = int(self.R.randint(2**31))
        self._field = None
        if self.g_factor is not None and self.R.uniform() < self.g_factor_prob:
            low, high = self.g_factor
            self._field = smooth_field(data.shape[1:], np.random.default_rng(seed + 1), low, high)
        band, masked = 1.0, bool(self.R.uniform() < self.masked_prob)
        if self.band is not None and self.R.uniform() < self.band_prob:
            low, high = self.band
            band = float(self.R.uniform(low, high))
        self.noise = RicianNoise(sigma if self._do_transform else 0.0, seed, coils, band, masked)

    def __call__(self, img: NdarrayOrTensor, randomize: bool = True) -> NdarrayOrTensor:
        """Shape (C, ...) in and out; ``self.sigma_map`` of shape (1, ...) then holds sigma at each position."""
        if randomize:
            self.randomize(img)
        field = np.ones(img.shape[1:], np.float32) if self._field is None else self._field
        self.sigma_map = convert_to_dst_type(self.noise.sigma * field[None], img)[0]
        return self.noise(img, self._field) if self._do_transform else img


class RicianNoised(MapTransform):
    """Dictionary version of :class:`RicianNoise`; the sigma of each item may stand under ``sigma_key``.

    Args:
        keys: images of shape (C, ...).
        sigma: used where the item has no ``sigma_key``; written to it.
        sigma_key: name of the item's own sigma.
        g_factor_key: name of the item's map of g-factors, if it has one.
        seed: seed of the noise.
        coils: number of receiver channels.
        allow_missing_keys: see MONAI.
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
        """Noise on each key."""
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
        keys: images of shape (C, ...), all with the same noise.
        sigma_key: where the map of sigma goes.
        noise: arguments of :class:`RandMagnitudeNoise`.
    """

    def __init__(self, keys: KeysCollection, sigma_key: str = "sigma", **noise: Any) -> None:
        MapTransform.__init__(self, keys)
        self.sigma_key = sigma_key
        self.noise = RandMagnitudeNoise(**noise)

    def set_random_state(
        self, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> RandMagnitudeNoised:
        """Seed the choices."""
        self.noise.set_random_state(seed, state)
        return self

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Noise on each key, and its map."""
        d = dict(data)
        first = next(iter(self.key_iterator(d)))
        self.noise.randomize(d[first])
        for key in self.key_iterator(d):
            d[key] = self.noise(d[key], randomize=False)
        d[self.sigma_key] = convert_to_tensor(self.noise.sigma_map, track_meta=False)
        return d
