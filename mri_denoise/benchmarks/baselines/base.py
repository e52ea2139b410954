"""One contract for every denoiser, learned or classical."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Literal

import numpy as np

from mri_denoise import __version__

Noise = Literal["rician", "salt-pepper"]
Function = Callable[[np.ndarray, float], np.ndarray]
EXTRA = "pip install mri-denoise[benchmark]"


@dataclass(frozen=True)
class Denoiser:
    """A method that takes an image and the noise level and gives the image without noise.

    Args:
        name: short name, as on the command line.
        label: as in tables and figures.
        citation: who proposed it and where; which implementation is used.
        noise: kinds of noise that it is for.
        function: ``function(image, sigma) -> image``: float32 and finite in, any real type of the same shape out.
            ``image`` has the axes that ``dimensions`` names.
        package: the module that it needs beyond this package's own dependencies, or None.
        dimensions: 3 for volumes, 2 for images (volumes go in slice by slice), None for both.
        uses_sigma: whether it makes use of the noise level; ``function`` is given 0 otherwise.
        gaussian: made for Gaussian noise: what Rician noise adds is taken away from its result
            (:func:`remove_rician_bias`).
        unit_range: ``function`` is given image and sigma divided by the image's largest magnitude, and never a sigma
            of 0, for which the image itself is the result.
        slice_axis: the axis of volumes across slices: 0, 1 or 2.
        version: of the implementation, where no package tells: for learned ones a SHA-256 over weights, configs and
            device.
        distribution: the distribution on PyPI that implements it, where it is not this one.
    """

    name: str
    label: str
    citation: str
    noise: tuple[Noise, ...]
    function: Function
    package: str | None = None
    dimensions: Literal[2, 3] | None = None
    uses_sigma: bool = True
    gaussian: bool = False
    unit_range: bool = False
    slice_axis: int = 2
    version: str = ""
    distribution: str = "mri-denoise"

    def available(self) -> bool:
        """Whether what it needs is installed."""
        return self.package is None or find_spec(self.package) is not None

    def implementation(self) -> str:
        """What its results depend on: name and version of the distribution, or its own ``version``."""
        if self.version:
            return self.version
        try:
            return f"{self.distribution} {version(self.distribution)}"
        except PackageNotFoundError:  # this package in a source tree without installed metadata
            return f"{self.distribution} {__version__}"

    def missing_hint(self) -> str:
        """The command that installs what it needs."""
        return EXTRA

    def __call__(self, image: np.ndarray, sigma: float | None = None) -> np.ndarray:
        """Denoise.

        Args:
            image: float32 and finite, shape (X, Y, Z) or (H, W), in any unit; it is not changed.
            sigma: standard deviation of the noise in the image's unit; None to estimate it from the image
                (:func:`mri_denoise.noise.level.estimate_sigma`). For Rician noise that of the real and of the
                imaginary part.

        Returns:
            a new float32 array of the same shape, in the same unit.

        Raises:
            ValueError: if the image has neither two nor three axes.
        """
        if image.ndim not in (2, 3):
            raise ValueError(f"{self.name}: takes an image or a volume, not an array of shape {image.shape}.")
        image = np.array(image, dtype=np.float32, order="C")  # a copy: some libraries write into what they are given
        level = self._level(image, sigma) if self.uses_sigma else 0.0
        if self.dimensions == 2 and image.ndim == 3:
            slices = [self._apply(np.ascontiguousarray(s), level) for s in np.moveaxis(image, self.slice_axis, 0)]
            result = np.moveaxis(np.stack(slices), 0, self.slice_axis)
        elif self.dimensions == 3 and image.ndim == 2:
            result = self._apply(image[..., None], level)[..., 0]
        else:
            result = self._apply(image, level)
        return np.array(result, dtype=np.float32, order="C")

    def _apply(self, image: np.ndarray, level: float) -> np.ndarray:
        peak = float(np.abs(image).max()) if self.unit_range else 1.0
        if self.unit_range and (level == 0 or peak == 0):
            return image
        result = np.asarray(self.function(image / np.float32(peak), level / peak)).reshape(image.shape) * peak
        return remove_rician_bias(result, level) if self.gaussian else result

    def _level(self, image: np.ndarray, sigma: float | None) -> float:
        if sigma is not None:
            return float(sigma)
        from mri_denoise.noise.level import estimate_sigma

        if image.ndim == 2:
            return estimate_sigma(image[..., None], slice_axis=2).sigma
        return estimate_sigma(image, slice_axis=self.slice_axis).sigma


def remove_rician_bias(image: np.ndarray, sigma: float) -> np.ndarray:
    """What Rician noise adds to the mean square is taken away: ``sqrt(max(x^2 - sigma^2, 0))``.

    For methods that assume Gaussian noise. The mean of squared magnitudes is the squared signal plus 2 sigma^2
    (Gudbjartsson and Patz, 1995, https://doi.org/10.1002/mrm.1910340618); a method that averages magnitudes and not
    their squares keeps about sigma^2 of it wherever there is signal.

    Args:
        image: a denoised magnitude image, any shape.
        sigma: standard deviation of the noise in the image's unit.

    Returns:
        array of the same shape, at least 0.
    """
    return np.sqrt(np.maximum(np.square(image) - sigma**2, 0))
