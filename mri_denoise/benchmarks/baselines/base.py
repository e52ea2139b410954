"""The contract of every method that the benchmarks compare, learned or classical."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Literal

import numpy as np

from mri_denoise import __version__
from mri_denoise.errors import InputError
from mri_denoise.noise.level import estimate_sigma
from mri_denoise.settings import DEFAULTS, Quality

Noise = Literal["rician", "salt-pepper"]
Function = Callable[[np.ndarray, float], np.ndarray]
INSTALL = "pip install mri-denoise[benchmark]"


@dataclass(frozen=True, kw_only=True, eq=False)
class Slicing:
    """How a volume is cut into slices.

    Args:
        quality: ``"fast"``, ``"balanced"`` or ``"best"`` (:class:`~mri_denoise.settings.Settings`), for networks alone.
        slice_axis: the axis across the slices: 0, 1 or 2.
        affine: voxel index to RAS+ mm, shape (4, 4); None stands for isotropic voxels. Only networks use it.
        white_level: the value of white where the image has one (255 for 8-bit pictures).
        contiguous: False denoises each slice without its neighbours.
    """

    quality: Quality = DEFAULTS.quality
    slice_axis: int = 2
    affine: np.ndarray | None = None
    white_level: float | None = None
    contiguous: bool = True


@dataclass(frozen=True, kw_only=True)
class Method(ABC):
    """A method that takes an image and its noise level and returns the image without noise.

    Args:
        name: short name, as on the command line.
        label: name in tables and figures.
        citation: who proposed the method and where, and which implementation is used.
        noise: the kinds of noise that it removes.
        ours: whether the benchmark is about it; all others are rivals.
        uses_sigma: whether it uses the noise level.
        estimates_sigma: whether it estimates the noise level from the image, whatever level it is given.
        slicing: how volumes are cut into slices.
    """

    name: str
    label: str
    citation: str
    noise: tuple[Noise, ...] = ("rician",)
    ours: bool = False
    uses_sigma: bool = True
    estimates_sigma: bool = False
    slicing: Slicing = field(default_factory=Slicing)

    def __call__(self, image: np.ndarray, sigma: float | None = None) -> np.ndarray:
        """Denoise an image.

        Args:
            image: float32 and finite, shape (X, Y, Z) or (H, W), in any unit. It is not changed.
            sigma: standard deviation of the noise in the unit of the image; for Rician noise that of the real and of
                the imaginary channel. None estimates it (:func:`mri_denoise.noise.level.estimate_sigma`).

        Returns:
            a new float32 array of the same shape, in the same unit.

        Raises:
            ValueError: if the image has neither two nor three axes.
            InputError: if a package that the method needs is not installed.
        """
        if image.ndim not in (2, 3):
            raise ValueError(f"{self.name}: takes an image or a volume, not an array of shape {image.shape}.")
        image = np.array(image, dtype=np.float32, order="C")  # a copy: some libraries write into their input
        level = self._level(image, sigma) if self.uses_sigma else 0.0
        return np.array(self._denoise(image, level), dtype=np.float32, order="C")

    def load(self) -> None:  # noqa: B027  # a method that needs no package has nothing to do
        """Import what the method needs, so that its first call takes no longer than the next ones.

        Raises:
            InputError: if a package is not installed.
        """

    @abstractmethod
    def implementation(self) -> str:
        """Name and version of the software, or a digest of it: what results depend on."""

    def identity(self) -> dict[str, str | int]:
        """The part of a cache key that depends on the method."""
        return {"method": self.name, "made_by": self.implementation()}

    def describe(self) -> dict[str, str]:
        """What a record says of the implementation."""
        return {"made_by": self.implementation()}

    @abstractmethod
    def _denoise(self, image: np.ndarray, sigma: float) -> np.ndarray:
        """Denoise a copy of the image; ``sigma`` is 0 for a method that does not use it."""

    def _level(self, image: np.ndarray, sigma: float | None) -> float:
        if sigma is not None and not self.estimates_sigma:
            return float(sigma)
        if image.ndim == 2:
            return estimate_sigma(image[..., None], slice_axis=2).sigma
        return estimate_sigma(image, slice_axis=self.slicing.slice_axis).sigma


@dataclass(frozen=True, kw_only=True)
class Classical(Method):
    """A function of an image and a noise level as a method.

    Args:
        function: ``function(image, sigma) -> image``: float32 and finite in, any real type of the same shape out.
            ``image`` has the number of axes that ``dimensions`` names.
        packages: the modules that it imports beyond the dependencies of this package.
        distribution: name on PyPI of the software that implements it.
        dimensions: 3 for volumes, 2 for images (volumes are denoised slice by slice), None for both.
        gaussian: whether it is made for Gaussian noise. The bias of Rician noise is then removed from its result
            (:func:`remove_rician_bias`).
        unit_range: whether ``function`` needs values of magnitude up to 1: it is given image and sigma divided by the
            largest magnitude of the image. A sigma of 0 returns the image.
    """

    function: Function
    packages: tuple[str, ...] = ()
    distribution: str = "mri-denoise"
    dimensions: Literal[2, 3] | None = None
    gaussian: bool = False
    unit_range: bool = False

    def available(self) -> bool:
        """Whether the packages that it needs are installed."""
        return all(find_spec(package) is not None for package in self.packages)

    def load(self) -> None:
        """Import the packages that the method needs.

        Raises:
            InputError: if one of them is not installed.
        """
        for package in self.packages:
            try:
                import_module(package)
            except ModuleNotFoundError as error:
                raise InputError(f"method {self.name}: needs the package {package}; {INSTALL}.") from error

    def implementation(self) -> str:
        """Name and version of the distribution."""
        try:
            return f"{self.distribution} {version(self.distribution)}"
        except PackageNotFoundError:  # a source tree without installed metadata
            return f"{self.distribution} {__version__}"

    def _denoise(self, image: np.ndarray, sigma: float) -> np.ndarray:
        self.load()
        axis = self.slicing.slice_axis
        if self.dimensions == 2 and image.ndim == 3:
            slices = [self._apply(np.ascontiguousarray(s), sigma) for s in np.moveaxis(image, axis, 0)]
            return np.moveaxis(np.stack(slices), 0, axis)
        if self.dimensions == 3 and image.ndim == 2:
            return self._apply(image[..., None], sigma)[..., 0]
        return self._apply(image, sigma)

    def _apply(self, image: np.ndarray, sigma: float) -> np.ndarray:
        peak = float(np.abs(image).max()) if self.unit_range else 1.0
        if self.unit_range and (sigma == 0 or peak == 0):
            return image
        result = np.asarray(self.function(image / np.float32(peak), sigma / peak)).reshape(image.shape) * peak
        return remove_rician_bias(result, sigma) if self.gaussian else result


def remove_rician_bias(image: np.ndarray, sigma: float) -> np.ndarray:
    """Remove the bias of Rician noise after a method for Gaussian noise: ``sqrt(max(x^2 - sigma^2, 0))``.

    The mean of squared magnitudes is the squared signal plus 2 sigma^2 (Gudbjartsson and Patz, 1995,
    https://doi.org/10.1002/mrm.1910340618). A method that averages magnitudes, not their squares, keeps about sigma^2
    of it wherever there is signal.

    Args:
        image: a denoised magnitude image, any shape.
        sigma: standard deviation of the noise in the unit of the image.

    Returns:
        array of the same shape, at least 0.

    Examples:
        >>> remove_rician_bias(np.array([0.5, 5.0]), sigma=3.0).tolist()
        [0.0, 4.0]
    """
    return np.sqrt(np.maximum(np.square(image) - sigma**2, 0))
