"""What a run of ``benchmark safety`` does, and the head that it does it on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from mri_denoise.benchmarks.baselines import Method
from mri_denoise.noise.simulate import add_rician
from mri_denoise.simulation import head_phantom, phantom_affine, tissue_fractions

PEAK = 1000.0  # of the phantom, in arbitrary units
_BRAIN = 0.5  # least share of a voxel that is grey or white matter or fluid


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The choices of a run.

    Args:
        shape: voxels of the phantom, which is always 192 x 240 x 192 mm.
        draws: of noise on the head, at least 2.
        diameters: of the lesions in mm.
        amplitudes: their contrast in units of sigma.
        sites: lesions of each tissue, diameter and amplitude in a head.
        slices: of a real volume, in the middle; all for None.
        level: sigma of the noise in percent of the maximum.
        seed: of noise and lesions.
    """

    shape: tuple[int, int, int] = (128, 160, 128)
    draws: int = 20
    diameters: tuple[float, ...] = (2.0, 4.0, 8.0)
    amplitudes: tuple[float, ...] = (1.0, 2.0, 3.0, 5.0, 10.0)
    sites: int = 6
    slices: int | None = None
    level: float = 5.0
    seed: int = 0

    @property
    def sigma(self) -> float:
        """Standard deviation of the noise in the unit of the phantom."""
        return self.level / 100 * PEAK

    def rng(self, *numbers: int) -> np.random.Generator:
        """A source of randomness that depends on the seed and on these numbers alone."""
        return np.random.default_rng([self.seed, *numbers])

    @property
    def on_real(self) -> Plan:
        """The same for real volumes: their voxels are fine enough for the small lesions that a quick run leaves out."""
        return replace(self, diameters=FULL.diameters) if self.diameters == QUICK.diameters else self


FULL = Plan()
QUICK = Plan(shape=(48, 60, 48), draws=4, diameters=(4.0, 8.0), amplitudes=(2.0, 5.0, 10.0), slices=24)


@dataclass(frozen=True, kw_only=True)
class Head:
    """A T1-weighted head phantom with its tissues.

    Args:
        truth: without noise, float32 (X, Y, Z), maximum :data:`PEAK`.
        tissues: the share of each voxel that is ``grey`` matter, ``white`` matter and ``fluid``, same shape.
    """

    truth: np.ndarray
    tissues: dict[str, np.ndarray]

    @classmethod
    def draw(cls, shape: tuple[int, int, int]) -> Head:
        """The phantom of a shape; the same for every run."""
        truth = head_phantom(shape)
        found = tissue_fractions(("grey", "white", "csf"), shape)
        tissues = {"grey": found["grey"], "white": found["white"], "fluid": found["csf"]}
        return cls(truth=truth * np.float32(PEAK / truth.max()), tissues=tissues)

    @cached_property
    def affine(self) -> np.ndarray:
        """Voxel index to mm."""
        return phantom_affine(self.truth.shape)

    @cached_property
    def voxel(self) -> np.ndarray:
        """Edges of a voxel in mm, shape (3,)."""
        return self.affine.diagonal()[:3]

    @cached_property
    def brain(self) -> np.ndarray:
        """Grey and white matter and fluid, boolean."""
        return np.sum(list(self.tissues.values()), axis=0) > _BRAIN

    def noisy(self, clean: np.ndarray, plan: Plan, draw: int) -> np.ndarray:
        """An image with the Rician noise of a draw: the same numbers whatever the image."""
        return add_rician(clean, plan.sigma, plan.rng(0, draw))

    def fit(self, method: Method) -> Method:
        """The method for volumes of this geometry."""
        return replace(method, slicing=replace(method.slicing, slice_axis=2, affine=self.affine))
