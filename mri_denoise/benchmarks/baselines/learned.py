"""The network of a bundle as a method: arrays in memory, no files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

import mri_denoise
from mri_denoise.benchmarks.baselines.base import Method, Noise, Slicing
from mri_denoise.bundles.weights import sha256
from mri_denoise.denoiser import Denoiser
from mri_denoise.volume import Volume

# of this package, what shapes a result
_SHAPING = ("denoiser.py", "sampling.py", "threads.py", "bundles", "inference", "networks", "noise", "transforms")


@dataclass(frozen=True, kw_only=True)
class Learned(Method):
    """A bundle under the contract of the benchmarks; :func:`learned` makes one.

    Args:
        model: the bundle as a function, which several methods may share.
        guard: whether what was removed and noise does not explain comes back.
    """

    model: Denoiser
    guard: bool = True

    def implementation(self) -> str:
        """A SHA-256 over all weights, configs, device and code that shape the result, in hexadecimal digits."""
        others = [sha256(path) for path in self.model.bundle.other_weights.values() if path.is_file()]
        made_of = (self.model.model.weights_sha256, *others, self.model.config_sha256, self.model.device, _code())
        return hashlib.sha256(" ".join(made_of).encode()).hexdigest()

    def identity(self) -> dict[str, str | int]:
        """The bundle with its choices, so that methods that differ in their names alone share their results."""
        return {
            "method": self.model.bundle.name,
            "made_by": self.implementation(),
            "quality": self.slicing.quality,
            "sigma": "estimated" if self.estimates_sigma else "true",
            "guard": self.guard,
        }

    def describe(self) -> dict[str, str]:
        """SHA-256 of the weights, and the device."""
        return {"weights_sha256": self.model.model.weights_sha256, "device": self.model.device}

    def _denoise(self, image: np.ndarray, sigma: float) -> np.ndarray:
        volume = Volume(
            array=(image if image.ndim == 3 else image[..., None])[None],
            affine=np.eye(4) if self.slicing.affine is None else self.slicing.affine,
            slice_axis=self.slicing.slice_axis,
            contiguous=self.slicing.contiguous,
            white_level=self.slicing.white_level,
        )
        result = self.model(volume, sigma=sigma, quality=self.slicing.quality, guard=self.guard)
        return result.array.reshape(image.shape)


@cache
def _code() -> str:
    """A SHA-256 over the code that shapes a result: a change of it makes scores of before stale."""
    package = Path(mri_denoise.__file__).parent
    parts = [package / part for part in _SHAPING]
    files = sorted(file for part in parts for file in ([part] if part.is_file() else part.rglob("*")))
    digests = [sha256(file) for file in files if file.suffix in (".py", ".c", ".h")]
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()


def learned(
    model: Denoiser,
    slicing: Slicing | None = None,
    *,
    name: str = "",
    label: str = "",
    citation: str = "this package",
    noise: tuple[Noise, ...] = ("rician",),
    ours: bool = True,
    estimates_sigma: bool = False,
    guard: bool = True,
) -> Learned:
    """Make a method of a bundle.

    Args:
        model: the bundle as a function.
        slicing: how volumes are cut; one plane, with slices across the last axis, by default.
        name: short name; that of the bundle by default.
        label: name in tables and figures; the name by default.
        citation: who proposed it.
        noise: the kinds of noise that it removes.
        ours: whether the benchmark is about it, and it is not a rival.
        estimates_sigma: whether it estimates the noise level, whatever level it is given.
        guard: whether what was removed and noise does not explain comes back.

    Returns:
        the method.
    """
    name = name or model.bundle.name
    return Learned(
        name=name,
        label=label or name,
        citation=citation,
        noise=noise,
        ours=ours,
        uses_sigma=model.uses_sigma,
        estimates_sigma=estimates_sigma,
        slicing=slicing or Slicing(),
        model=model,
        guard=guard,
    )
