"""An image that counts as the truth, and objects that are put into it: in tissue, at edges, across everything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import ndimage

from mri_denoise.benchmarks.baselines import Method
from mri_denoise.benchmarks.references import Truth
from mri_denoise.benchmarks.safety.lesions import PURE
from mri_denoise.benchmarks.safety.plan import Head, Plan
from mri_denoise.benchmarks.safety.shapes import irregular, vessel
from mri_denoise.noise.simulate import add_rician
from mri_denoise.volume import voxel_sizes

TISSUE, EDGE = "in tissue", "at an edge"
VESSELS = (1, 2)  # shortest edges of a voxel: their diameters
_LENGTH = 10  # the same, of a vessel
_FLAT, _STEEP = 0.3, 0.9  # quantiles of the gradient in a real volume: tissue lies below, edges above
_SMOOTH = 1.0  # voxels
_BRIGHT = 5.0  # sigma: darker voxels are no tissue that a lesion shows in
_NOWHERE = (0, 0, 0)
_EDGES = 0.95  # quantile of the gradient above which the width of edges is measured


@dataclass(frozen=True, kw_only=True)
class Object:
    """What is put into an image.

    Args:
        cell: what objects are averaged over, as ``at an edge, 4 mm, 5 sigma``.
        corner: first voxel of its patch.
        share: of each voxel of the patch that it fills, 0 to 1.
        amplitude: of its contrast in units of sigma; negative for a dark one.
        width: a length in mm that its form has: the diameter.
        distance: of each voxel of the patch from the line of a vessel in mm; None for a lesion.
    """

    cell: str
    corner: tuple[int, int, int]
    share: np.ndarray
    amplitude: float
    width: float
    distance: np.ndarray | None = None

    @property
    def patch(self) -> tuple[slice, ...]:
        """The place in a volume."""
        return tuple(slice(c, c + n) for c, n in zip(self.corner, self.share.shape, strict=True))


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A true image and where its tissue and its edges are.

    Args:
        label: name in tables; empty for the phantom.
        truth: without noise, float32 (X, Y, Z).
        affine: voxel index to RAS+ mm, shape (4, 4).
        slice_axis: the axis across the slices.
        inside: the brain, or of a real volume the head; boolean.
        places: by :data:`TISSUE` and :data:`EDGE`, where objects of that kind may lie; boolean.
        sigma: of the noise, in the unit of the image.
        plan: the choices of the run.
    """

    label: str
    truth: np.ndarray
    affine: np.ndarray
    slice_axis: int
    inside: np.ndarray
    places: Mapping[str, np.ndarray]
    sigma: float
    plan: Plan

    @classmethod
    def of_head(cls, head: Head, plan: Plan) -> Scene:
        """The phantom: grey and white matter, and the rim of the brain, where a mask of it ends."""
        tissue = np.any([head.tissues[name] >= least for name, least in PURE.items()], axis=0)
        rim = head.brain & ~ndimage.binary_erosion(head.brain)
        return cls(
            label="",
            truth=head.truth,
            affine=head.affine,
            slice_axis=2,
            inside=head.brain,
            places={TISSUE: tissue & ~rim, EDGE: rim},
            sigma=plan.sigma,
            plan=plan,
        )

    @classmethod
    def of_volume(cls, label: str, truth: Truth, plan: Plan) -> Scene:
        """A real volume: where it is flattest in the head, and where it is steepest."""
        inside, slope = truth.mask, _slope(truth.clean)
        flat, steep = np.quantile(slope[inside], (_FLAT, _STEEP))
        sigma = plan.level / 100 * truth.peak
        tissue = inside & (slope <= flat) & (truth.clean > _BRIGHT * sigma)
        return cls(
            label=label,
            truth=truth.clean,
            affine=truth.affine,
            slice_axis=truth.slice_axis,
            inside=inside,
            places={TISSUE: tissue, EDGE: inside & (slope >= steep)},
            sigma=sigma,
            plan=plan,
        )

    @cached_property
    def voxel(self) -> np.ndarray:
        """Edges of a voxel in mm, shape (3,)."""
        return voxel_sizes(self.affine)

    @cached_property
    def edges(self) -> np.ndarray:
        """The steepest voxels of the inside, boolean."""
        slope = _slope(self.truth)
        return self.inside & (slope >= np.quantile(slope[self.inside], _EDGES))

    def noisy(self, image: np.ndarray, draw: int) -> np.ndarray:
        """An image with the Rician noise of a draw: the same numbers whatever the image."""
        return add_rician(image, self.sigma, self.plan.rng(0, draw))

    def fit(self, method: Method) -> Method:
        """The method for volumes of this geometry."""
        return replace(method, slicing=replace(method.slicing, slice_axis=self.slice_axis, affine=self.affine))

    @cached_property
    def objects(self) -> list[Object]:
        """Lesions of irregular shapes in tissue and at edges, and vessels, apart from each other.

        Every other lesion is dark. Where there is less room than the plan wants, there are fewer objects of each kind.
        """
        plan, rng = self.plan, self.plan.rng(4)
        kinds = [(place, d, a) for place in (TISSUE, EDGE) for d in plan.diameters for a in plan.amplitudes]
        kinds += [("vessel", float(d), a) for d in VESSELS for a in plan.amplitudes]
        places = {place: list(rng.permutation(np.argwhere(where))) for place, where in self.places.items()}
        taken = np.zeros(self.truth.shape, dtype=bool)
        found = []
        for number in range(plan.sites):
            for place, size, amplitude in kinds:
                made = self._make(place, size, amplitude * (1 - 2 * (number % 2) if place != "vessel" else 1), rng)
                if (put := _put(made, places[TISSUE if place == "vessel" else place], taken)) is not None:
                    found.append(put)
        return found

    @cached_property
    def image(self) -> np.ndarray:
        """The truth with the objects, float32; no signal is negative."""
        image = self.truth.copy()
        for one in self.objects:
            image[one.patch] += np.float32(one.amplitude * self.sigma) * one.share.astype(np.float32)
        return np.maximum(image, 0)

    @cached_property
    def shown(self) -> int:
        """The slice to look at: the one that most of the objects' voxels lie in."""
        filled = np.zeros(self.truth.shape[self.slice_axis])
        for one in self.objects:
            others = tuple(axis for axis in range(3) if axis != self.slice_axis)
            filled[one.patch[self.slice_axis]] += (one.share > 0).sum(axis=others)
        return int(filled.argmax())

    def cut(self, image: np.ndarray) -> np.ndarray:
        """The slice to look at of an image, around the inside, in units of sigma, float32."""
        box = ndimage.find_objects(self.inside.astype(np.uint8))[0]
        part = tuple(self.shown if axis == self.slice_axis else s for axis, s in enumerate(box))
        return (image[part] / self.sigma).astype(np.float32)

    def _make(self, place: str, size: float, amplitude: float, rng: np.random.Generator) -> Object:
        least = float(self.voxel.min())
        strength = f"{abs(amplitude):g} sigma"
        if place == "vessel":
            share, distance = vessel(self.voxel, size * least, _LENGTH * least, rng)
            cell = f"{size:g} voxel{'s' if size > 1 else ''}, {strength}"
            return Object(
                cell=cell, corner=_NOWHERE, share=share, amplitude=amplitude, width=size * least, distance=distance
            )
        share = irregular(self.voxel, size, rng)
        cell = f"{place}, {size:g} mm, {strength}"
        return Object(cell=cell, corner=_NOWHERE, share=share, amplitude=amplitude, width=size)


def _put(made: Object, places: list[np.ndarray], taken: np.ndarray) -> Object | None:
    """Move an object to the first place where it lies in the image and touches no other; None if there is none."""
    reach = np.array(made.share.shape) // 2
    for number, place in enumerate(places):
        corner = place - reach
        if (corner < 0).any() or (corner + made.share.shape > taken.shape).any():
            continue
        x, y, z = (int(c) for c in corner)
        put = replace(made, corner=(x, y, z))
        if not (taken[put.patch] & (made.share > 0)).any():
            around = ndimage.binary_dilation(made.share > 0, iterations=3)
            taken[put.patch] |= around
            del places[number]
            return put
    return None


def _slope(image: np.ndarray) -> np.ndarray:
    """Magnitude of the smoothed gradient."""
    return ndimage.gaussian_gradient_magnitude(image.astype(np.float32), _SMOOTH)
