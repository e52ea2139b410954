"""Simulated noise: salt-and-pepper, Rician and non-central chi.

The functions apply noise of given parameters with a given generator; the transforms around them choose the parameters.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from monai.config import KeysCollection
from monai.config.type_definitions import NdarrayOrTensor
from monai.transforms import MapTransform, Randomizable, RandomizableTransform, Transform
from monai.utils import convert_to_dst_type, convert_to_tensor

Level = float | Sequence[float]


def add_salt_pepper(
    image: np.ndarray,
    density: float,
    rng: np.random.Generator,
    salt_share: float = 0.5,
    pepper: float = 0.0,
    salt: float = 1.0,
) -> np.ndarray:
    """Replace a share ``density`` of the pixels, chosen independently, by ``salt`` or ``pepper``.

    Args:
        image: any shape.
        density: share of pixels replaced, 0 to 1.
        rng: source of randomness.
        salt_share: share of salt among the replaced pixels, 0 to 1.
        pepper: value of black.
        salt: value of white.

    Returns:
        a new array of the image's shape and dtype.

    Raises:
        ValueError: if ``density`` or ``salt_share`` is outside of [0, 1].
    """
    if not 0 <= density <= 1 or not 0 <= salt_share <= 1:
        raise ValueError(f"density and salt_share must lie in [0, 1], got {density} and {salt_share}.")
    chance = rng.random(image.shape, dtype=np.float32)
    out = image.copy()
    out[chance < density] = pepper
    out[chance < density * salt_share] = salt
    return out


def add_rician(image: np.ndarray, sigma: float | np.ndarray, rng: np.random.Generator, coils: int = 1) -> np.ndarray:
    """Magnitude of a complex image with Gaussian noise of standard deviation ``sigma`` in real and imaginary part.

    ``sqrt((image + sigma g1)^2 + (sigma g2)^2)`` (Gudbjartsson and Patz, 1995, https://doi.org/10.1002/mrm.1910340618).
    With more than one coil the root of the sum of squares over all of them follows the non-central chi law with
    2 ``coils`` degrees of freedom (Constantinides et al., 1997, https://doi.org/10.1002/mrm.1910380524), here with the
    signal in the first channel, which gives the same law as any other share of it.

    Args:
        image: any shape, signal without noise.
        sigma: in the image's units; an array that broadcasts to the image (a g-factor map times a level) for parallel
            imaging.
        rng: source of randomness; the first draws are those of the real part.
        coils: number of receiver channels; 1 is Rician.

    Returns:
        float32 array of the image's shape.

    Raises:
        ValueError: if a sigma is negative or ``coils`` is less than 1.
    """
    if np.any(np.asarray(sigma) < 0) or coils < 1:
        raise ValueError("sigma must not be negative and coils must be at least 1.")
    level = np.asarray(sigma, dtype=np.float32)
    real = image + level * rng.standard_normal(image.shape, dtype=np.float32)
    power = real * real
    for _ in range(2 * coils - 1):
        part = level * rng.standard_normal(image.shape, dtype=np.float32)
        power += part * part
    return np.sqrt(power, dtype=np.float32)


def smooth_field(shape: Sequence[int], rng: np.random.Generator, low: float, high: float, knots: int = 4) -> np.ndarray:
    """A random smooth field over ``shape`` with values in [``low``, ``high``], like a map of g-factors."""
    coarse = torch.from_numpy(rng.uniform(low, high, (1, 1, *(min(knots, n) for n in shape))).astype(np.float32))
    mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[len(shape)]
    return F.interpolate(coarse, size=tuple(shape), mode=mode, align_corners=True)[0, 0].numpy()


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


class RicianNoise(Transform):
    """Rician or, with several coils, non-central chi noise of an exact sigma, the same at each call.

    Args:
        sigma: standard deviation of the noise in each channel, in the image's units.
        seed: seed of the noise.
        coils: number of receiver channels; 1 is Rician.
    """

    def __init__(self, sigma: float, seed: int = 0, coils: int = 1) -> None:
        self.sigma, self.seed, self.coils = sigma, seed, coils

    def __call__(self, img: NdarrayOrTensor, g_factor: NdarrayOrTensor | None = None) -> NdarrayOrTensor:
        """Shape (C, ...) in and out; ``g_factor`` is a map that multiplies sigma and broadcasts to the image."""
        level = self.sigma if g_factor is None else self.sigma * np.asarray(g_factor, dtype=np.float32)
        noisy = add_rician(np.asarray(img, dtype=np.float32), level, np.random.default_rng(self.seed), self.coils)
        return convert_to_dst_type(noisy, img)[0]


def _choose(level: Level, rng: np.random.RandomState, choices: bool, power: float = 1.0) -> float:
    """One level: ``level`` itself, one of its choices, or from the range low + (high - low) u^power."""
    if not isinstance(level, Sequence):
        return float(level)
    if choices:
        return float(level[rng.randint(len(level))])
    low, high = level
    return float(low + (high - low) * rng.uniform() ** power)


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
        density = _choose(self.density, self.R, choices=True)
        self.noise = SaltPepperNoise(density, self.salt_share, int(self.R.randint(2**31)), self.low, self.high)

    def __call__(self, img: NdarrayOrTensor, randomize: bool = True) -> NdarrayOrTensor:
        """Shape (C, ...) in and out."""
        if randomize:
            self.randomize()
        return self.noise(img) if self._do_transform else img


class RandRicianNoise(RandomizableTransform):
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
    """

    def __init__(
        self,
        sigma: Level = (0.0, 0.2),
        prob: float = 1.0,
        power: float = 1.0,
        g_factor: Sequence[float] | None = None,
        g_factor_prob: float = 0.0,
        coils: int | Sequence[int] = 1,
    ) -> None:
        RandomizableTransform.__init__(self, prob)
        self.sigma, self.power, self.coils = sigma, power, coils
        self.g_factor, self.g_factor_prob = g_factor, g_factor_prob
        self.noise = RicianNoise(0.0)
        self.sigma_map: NdarrayOrTensor = np.zeros(1, dtype=np.float32)
        self._field: np.ndarray | None = None

    def randomize(self, data: NdarrayOrTensor) -> None:
        """Choose whether to act, sigma, coils, the g-factor field and the seed."""
        super().randomize(None)
        sigma = _choose(self.sigma, self.R, choices=False, power=self.power)
        coils = int(_choose(self.coils, self.R, choices=True))
        seed = int(self.R.randint(2**31))
        self._field = None
        if self.g_factor is not None and self.R.uniform() < self.g_factor_prob:
            low, high = self.g_factor
            self._field = smooth_field(data.shape[1:], np.random.default_rng(seed + 1), low, high)
        self.noise = RicianNoise(sigma if self._do_transform else 0.0, seed, coils)

    def __call__(self, img: NdarrayOrTensor, randomize: bool = True) -> NdarrayOrTensor:
        """Shape (C, ...) in and out; ``self.sigma_map`` of shape (1, ...) then holds sigma at each position."""
        if randomize:
            self.randomize(img)
        field = np.ones(img.shape[1:], np.float32) if self._field is None else self._field
        self.sigma_map = convert_to_dst_type(self.noise.sigma * field[None], img)[0]
        return self.noise(img, self._field) if self._do_transform else img


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
    """Dictionary version of :class:`RandSaltPepperNoise`, with the same noise on each key."""

    def __init__(
        self,
        keys: KeysCollection,
        density: Level = (0.1, 0.2, 0.3),
        salt_share: float = 0.5,
        prob: float = 1.0,
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        self.noise = RandSaltPepperNoise(density, salt_share, prob)

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
        self.sigma, self.sigma_key, self.g_factor_key, self.seed, self.coils = (
            sigma,
            sigma_key,
            g_factor_key,
            seed,
            coils,
        )

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Noise on each key."""
        d = dict(data)
        sigma = float(d.get(self.sigma_key, self.sigma))
        noise = RicianNoise(sigma, self.seed, self.coils)
        for key in self.key_iterator(d):
            d[key] = noise(d[key], d.get(self.g_factor_key))
        d[self.sigma_key] = sigma
        return d


class RandRicianNoised(MapTransform, Randomizable):
    """Dictionary version of :class:`RandRicianNoise`; the map of sigma, shape (1, ...), goes to ``sigma_key``.

    Args:
        keys: images of shape (C, ...), all with the same noise.
        sigma_key: where the map of sigma goes.
        sigma: see :class:`RandRicianNoise`, as the arguments after it.
        prob: probability of adding noise.
        power: above 1 favours low levels.
        g_factor: range of random smooth fields.
        g_factor_prob: how often they are used.
        coils: number of receiver channels.
    """

    def __init__(
        self,
        keys: KeysCollection,
        sigma_key: str = "sigma",
        sigma: Level = (0.0, 0.2),
        prob: float = 1.0,
        power: float = 1.0,
        g_factor: Sequence[float] | None = None,
        g_factor_prob: float = 0.0,
        coils: int | Sequence[int] = 1,
    ) -> None:
        MapTransform.__init__(self, keys)
        self.sigma_key = sigma_key
        self.noise = RandRicianNoise(sigma, prob, power, g_factor, g_factor_prob, coils)

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> RandRicianNoised:
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
