"""Salt-and-pepper noise as MONAI transforms, and the restoration of the pixels that it leaves alone."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.config.type_definitions import NdarrayOrTensor
from monai.transforms import MapTransform, Randomizable, RandomizableTransform, Transform
from monai.utils import convert_to_dst_type

from mri_denoise.noise.simulate import add_salt_pepper
from mri_denoise.transforms.arrays import as_array
from mri_denoise.transforms.draws import Level, draw_from_choices

LARGE_CHANGE = 0.25  # of the range: only the removal of an impulse changes a pixel so much
EXACT_FRACTION = 0.9
FEW_CHANGES = 0.005  # of the pixels: so few large changes are edges that the network took for impulses


class SaltPepperNoise(Transform):
    """Add salt-and-pepper noise of an exact density, the same at each call.

    Args:
        density: fraction of the pixels that is replaced, 0 to 1.
        salt_fraction: fraction of salt among them, 0 to 1.
        seed: seed of the noise.
        low: value of black.
        high: value of white.
    """

    def __init__(
        self, density: float, salt_fraction: float = 0.5, seed: int = 0, low: float = 0.0, high: float = 1.0
    ) -> None:
        self.density, self.salt_fraction, self.seed, self.low, self.high = density, salt_fraction, seed, low, high

    def __call__(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        """Add noise: shape (C, ...) in and out."""
        rng = np.random.default_rng(self.seed)
        noisy = add_salt_pepper(as_array(img), self.density, rng, self.salt_fraction, self.low, self.high)
        return convert_to_dst_type(noisy, img)[0]


class RandSaltPepperNoise(RandomizableTransform):
    """Add salt-and-pepper noise of a random density.

    Args:
        density: one density, or several of which one is chosen at each call.
        salt_fraction: fraction of salt among the replaced pixels, 0 to 1.
        prob: probability of adding noise at all.
        low: value of black.
        high: value of white.
    """

    def __init__(
        self,
        density: Level = (0.1, 0.2, 0.3),
        salt_fraction: float = 0.5,
        prob: float = 1.0,
        low: float = 0.0,
        high: float = 1.0,
    ) -> None:
        RandomizableTransform.__init__(self, prob)
        self.density, self.salt_fraction, self.low, self.high = density, salt_fraction, low, high
        self.noise = SaltPepperNoise(0.0, salt_fraction, 0, low, high)

    def randomize(self, data: object = None) -> None:
        """Choose whether to act, the density and the seed."""
        super().randomize(None)
        density = draw_from_choices(self.density, self.R)
        self.noise = SaltPepperNoise(density, self.salt_fraction, int(self.R.randint(2**31)), self.low, self.high)

    def __call__(self, img: NdarrayOrTensor, randomize: bool = True) -> NdarrayOrTensor:
        """Add noise: shape (C, ...) in and out."""
        if randomize:
            self.randomize()
        return self.noise(img) if self._do_transform else img


class SaltPepperNoised(MapTransform):
    """Dictionary version of :class:`SaltPepperNoise`; an item may bring its own density under ``density_key``.

    Args:
        keys: images of shape (C, ...).
        density: used if the item has no ``density_key``.
        density_key: name of the item's own density.
        salt_fraction: fraction of salt among the replaced pixels, 0 to 1.
        seed: seed of the noise.
        allow_missing_keys: whether an item may lack a key.
    """

    def __init__(
        self,
        keys: KeysCollection,
        density: float = 0.2,
        density_key: str = "density",
        salt_fraction: float = 0.5,
        seed: int = 0,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.density, self.density_key, self.salt_fraction, self.seed = density, density_key, salt_fraction, seed

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Add noise to each key."""
        d = dict(data)
        noise = SaltPepperNoise(float(d.get(self.density_key, self.density)), self.salt_fraction, self.seed)
        for key in self.key_iterator(d):
            d[key] = noise(d[key])
        return d


class RandSaltPepperNoised(MapTransform, Randomizable):
    """Dictionary version of :class:`RandSaltPepperNoise`, with the same noise on each key.

    Args:
        keys: images of shape (C, ...).
        density: one density, or several of which one is chosen at each call.
        salt_fraction: fraction of salt among the replaced pixels, 0 to 1.
        prob: probability of adding noise at all.
        low: value of black.
        high: value of white.
        allow_missing_keys: whether an item may lack a key.
    """

    def __init__(
        self,
        keys: KeysCollection,
        density: Level = (0.1, 0.2, 0.3),
        salt_fraction: float = 0.5,
        prob: float = 1.0,
        low: float = 0.0,
        high: float = 1.0,
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        self.noise = RandSaltPepperNoise(density, salt_fraction, prob, low, high)

    def set_random_state(
        self, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> RandSaltPepperNoised:
        """Seed the choices."""
        self.noise.set_random_state(seed, state)
        return self

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Add the same noise to each key."""
        d = dict(data)
        self.noise.randomize()
        for key in self.key_iterator(d):
            d[key] = self.noise(d[key], randomize=False)
        return d


def restore_uncorrupted(
    result: torch.Tensor, noisy: torch.Tensor, white_level: float | None = None, large: float = LARGE_CHANGE
) -> torch.Tensor:
    """Put back every pixel of a denoised image that no impulse has hit.

    An impulse sets a pixel to black or white. A pixel in between is as it was measured, and no estimate is better. The
    adaptive median filter (Hwang and Haddad, 1995, https://doi.org/10.1109/83.370679) keeps such pixels too. If the
    impulses are not exact (a noisy picture that was saved as JPEG, interpolated or averaged since), nothing is put
    back: among the pixels that the network changed by more than ``large`` of the range, at least nine of ten must be
    black or white, unless there are hardly any. An image without impulses thus changes in black and white pixels alone.

    Args:
        result: the denoised image, any shape.
        noisy: the image as it was read, of the same shape and unit.
        white_level: the value of white, with black 0; None takes the image's minimum and maximum.
        large: smallest change that counts, as a fraction of the range.

    Returns:
        the same shape and unit.
    """
    black = 0.0 if white_level is not None else float(noisy.min())
    white = float(white_level) if white_level is not None else float(noisy.max())
    extreme = (noisy <= black) | (noisy >= white)
    changed = (result - noisy).abs() > large * (white - black)
    many = int(torch.count_nonzero(changed)) > FEW_CHANGES * changed.numel()
    if many and float(extreme[changed].float().mean()) < EXACT_FRACTION:
        return result
    return torch.where(extreme, result, noisy)


class RestoreUncorruptedd(MapTransform):
    """Dictionary version of :func:`restore_uncorrupted`, for each volume of shape (X, Y, Z) by itself.

    The item holds the image as it was read under ``raw``, and its white level, if it has one, under ``white_level``.

    Args:
        keys: denoised images of shape (T, X, Y, Z) in the file's units.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Put the pixels back."""
        d = dict(data)
        for key in self.key_iterator(d):
            white = d.get("white_level")
            d[key] = torch.stack([restore_uncorrupted(r, n, white) for r, n in zip(d[key], d["raw"], strict=True)])
        return d
