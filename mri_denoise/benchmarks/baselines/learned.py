"""The network of a bundle as a method: arrays in memory, no files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from mri_denoise import __version__
from mri_denoise.benchmarks.baselines.base import Method, Noise, Slicing
from mri_denoise.denoiser import Denoiser
from mri_denoise.volume import Volume


@dataclass(frozen=True, kw_only=True)
class Learned(Method):
    """A bundle under the contract of the benchmarks; :func:`learned` makes one.

    Args:
        model: the bundle as a function, which several methods may share.
    """

    model: Denoiser

    def implementation(self) -> str:
        """A SHA-256 over weights, configs, device and version of this package, in hexadecimal digits."""
        made_of = (self.model.model.weights_sha256, self.model.config_sha256, self.model.device, __version__)
        return hashlib.sha256(" ".join(made_of).encode()).hexdigest()

    def identity(self) -> dict[str, str | int]:
        """The bundle with its choices, so that methods that differ in their names alone share their results."""
        return {
            "method": self.model.bundle.name,
            "made_by": self.implementation(),
            "quality": self.slicing.quality,
            "sigma": "estimated" if self.estimates_sigma else "true",
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
        return self.model(volume, sigma=sigma, quality=self.slicing.quality).array.reshape(image.shape)


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
    )
