"""The network of a bundle under the denoisers' contract: arrays in memory, no files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from mri_denoise import __version__
from mri_denoise import denoiser as learner
from mri_denoise.benchmarks.baselines.base import Denoiser, Noise
from mri_denoise.settings import Planes
from mri_denoise.volume import Volume


@dataclass(frozen=True)
class Slicing:
    """How a volume is cut into slices.

    Args:
        planes: 1, 3 or ``"auto"`` for 3 where voxels are nearly isotropic, which takes an affine to know.
        slice_axis: the axis across slices, 0, 1 or 2.
        affine: voxel index to RAS+ mm, as 16 numbers row by row; None stands for isotropic voxels.
        white_level: the value of white where the image has one (255 for 8-bit pictures).
        contiguous: False denoises each slice without its neighbours.
    """

    planes: Planes = 1
    slice_axis: int = 2
    affine: tuple[float, ...] | None = None
    white_level: float | None = None
    contiguous: bool = True


def learned(
    model: learner.Denoiser,
    slicing: Slicing | None = None,
    *,
    name: str = "",
    label: str = "",
    citation: str = "this package",
    noise: tuple[Noise, ...] = ("rician",),
) -> Denoiser:
    """A bundle's network as a :class:`~mri_denoise.benchmarks.baselines.base.Denoiser`.

    Args:
        model: the network, which several denoisers may share.
        slicing: how volumes are cut; one plane, slices across the last axis by default.
        name: short name; the bundle's by default.
        label: for tables and figures; the name by default.
        citation: who proposed it.
        noise: kinds of noise that it is for.

    Returns:
        the denoiser, its ``version`` a SHA-256 over weights, configs, device and version of this package.
    """
    cut = slicing or Slicing()
    name = name or model.bundle.name
    made_of = (model.model.weights_sha256, model.config_sha256, model.device, __version__)
    return Denoiser(
        name=name,
        label=label or name,
        citation=citation,
        noise=noise,
        function=lambda image, sigma: _denoise(model, image, sigma, cut),
        uses_sigma=model.uses_sigma,
        slice_axis=cut.slice_axis,
        version=hashlib.sha256(" ".join(made_of).encode()).hexdigest(),
    )


def _denoise(model: learner.Denoiser, image: np.ndarray, sigma: float, slicing: Slicing) -> np.ndarray:
    """An array of shape (X, Y, Z) or (H, W) as a volume, and back."""
    volume = Volume(
        array=(image if image.ndim == 3 else image[..., None])[None],
        affine=np.eye(4) if slicing.affine is None else np.reshape(slicing.affine, (4, 4)),
        slice_axis=slicing.slice_axis,
        contiguous=slicing.contiguous,
        white_level=slicing.white_level,
    )
    return model(volume, sigma=sigma, planes=slicing.planes).array.reshape(image.shape)
