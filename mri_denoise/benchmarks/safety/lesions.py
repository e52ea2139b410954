"""Lesions: whether they keep their contrast, can be told as well as before, and whether some appear that are none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from mri_denoise.benchmarks.safety.findings import Finding, mean_of
from mri_denoise.benchmarks.safety.observer import channels, detectability
from mri_denoise.benchmarks.safety.plan import Head, Plan
from mri_denoise.benchmarks.safety.structures import find_structures

PART = "lesions"
REACH = 4  # voxels of a patch around a lesion, to each side
_FINE = 5  # points along each axis of a voxel by which partial volume is computed
PURE = {"white": 0.9, "grey": 0.6}  # least share of the tissue at a lesion's centre


@dataclass(frozen=True, kw_only=True)
class Site:
    """A lesion.

    Args:
        centre: its voxel.
        tissue: ``grey`` or ``white``.
        diameter: in mm.
        amplitude: contrast in units of sigma, above 0.
        sign: 1 for a bright lesion, -1 for a dark one.
    """

    centre: tuple[int, int, int]
    tissue: str
    diameter: float
    amplitude: float
    sign: int

    @property
    def cell(self) -> str:
        """What sites are averaged over."""
        return f"{self.tissue}, {self.diameter:g} mm, {self.amplitude:g} sigma"

    @property
    def patch(self) -> tuple[slice, ...]:
        """The place in a volume."""
        return tuple(slice(c - REACH, c + REACH + 1) for c in self.centre)


def distances(voxel: np.ndarray) -> np.ndarray:
    """Distance of each voxel of a patch from its middle in mm, shape (2 ``REACH`` + 1,) * 3."""
    axes = np.meshgrid(*(np.arange(-REACH, REACH + 1) * edge for edge in voxel), indexing="ij")
    return np.sqrt(sum(np.square(axis) for axis in axes))


def sphere(voxel: np.ndarray, diameter: float) -> np.ndarray:
    """The share of each voxel of a patch that a sphere in its middle fills.

    Args:
        voxel: edges in mm.
        diameter: in mm.

    Returns:
        shape (2 ``REACH`` + 1,) * 3, values from 0 to 1.
    """
    places = np.arange(-REACH, REACH + 1)[:, None] + (np.arange(_FINE) + 0.5) / _FINE - 0.5
    axes = np.meshgrid(*(places.ravel() * edge for edge in voxel), indexing="ij")
    inside = sum(np.square(axis) for axis in axes) <= (diameter / 2) ** 2
    n = 2 * REACH + 1
    share: np.ndarray = inside.reshape(n, _FINE, n, _FINE, n, _FINE).mean(axis=(1, 3, 5))
    return share


def choose_sites(head: Head, plan: Plan) -> list[Site]:
    """Places for lesions in grey and white matter, apart from each other; every other one is dark.

    Where there is less room than the plan wants, there are fewer sites in each cell.
    """
    rng = plan.rng(3)
    apart = max(plan.diameters) + 3 * float(head.voxel.max())
    kinds = [(d, a) for d in plan.diameters for a in plan.amplitudes]
    taken = np.empty((0, 3))
    sites = []
    margin = ndimage.binary_erosion(np.ones(plan.shape, bool), iterations=REACH)  # patches lie inside
    for tissue, least in PURE.items():
        places = np.argwhere((head.tissues[tissue] >= least) & margin)
        number = 0
        for place in rng.permutation(places):
            if number == plan.sites * len(kinds):
                break
            if len(taken) and np.linalg.norm((taken - place) * head.voxel, axis=1).min() < apart:
                continue
            taken = np.vstack([taken, place])
            (diameter, amplitude), sign = kinds[number % len(kinds)], 1 - 2 * (number // len(kinds) % 2)
            x, y, z = (int(c) for c in place)
            sites.append(Site(centre=(x, y, z), tissue=tissue, diameter=diameter, amplitude=amplitude, sign=sign))
            number += 1
    return sites


def insert(head: Head, sites: Sequence[Site], sigma: float) -> np.ndarray:
    """The head with all lesions, float32."""
    image = head.truth.copy()
    for site in sites:
        image[site.patch] += np.float32(site.sign * site.amplitude * sigma) * sphere(head.voxel, site.diameter)
    return np.maximum(image, 0).astype(np.float32)


def contrast_kept(with_lesion: np.ndarray, without: np.ndarray, lesion: np.ndarray) -> float:
    """The share of a lesion's contrast that is left, by least squares: ``<with - without, s> / <s, s>``.

    Args:
        with_lesion: result with the lesion, a patch.
        without: result of the same noise without it.
        lesion: s, the lesion itself.

    Examples:
        >>> lesion = np.array([0.0, 2.0, 0.0])
        >>> contrast_kept(np.array([5.0, 6.0, 5.0]), np.full(3, 5.0), lesion)
        0.5
    """
    difference = with_lesion.astype(np.float64) - without
    return float(np.sum(difference * lesion) / np.sum(np.square(lesion)))


def measure(
    head: Head, plan: Plan, sites: Sequence[Site], present: Sequence[np.ndarray], absent: Sequence[np.ndarray]
) -> list[Finding]:
    """Contrast kept and area under the curve of each cell, and false lesions.

    Args:
        head: the phantom.
        plan: of the run.
        sites: the lesions.
        present: results of each draw with the lesions.
        absent: results of the same noise without.
    """
    found = []
    for cell in dict.fromkeys(site.cell for site in sites):
        own = [site for site in sites if site.cell == cell]
        kept, seen = [], ([], [])  # type: tuple[list[float], tuple[list[np.ndarray], list[np.ndarray]]]
        lesion = sphere(head.voxel, own[0].diameter)
        views = channels(distances(head.voxel), own[0].diameter + 2 * float(head.voxel.max()))
        for pair in zip(present, absent, strict=True):
            patches = [np.stack([site.sign * image[site.patch] for site in own]) for image in pair]
            scale = lesion * own[0].amplitude * plan.sigma
            kept.append(float(np.mean([contrast_kept(a, b, scale) for a, b in zip(*patches, strict=True)])))
            truth = np.stack([site.sign * head.truth[site.patch] for site in own])
            for images, view in zip(patches, seen, strict=True):  # the background is known: it is subtracted
                view.append(((images - truth) / plan.sigma).reshape(len(own), -1) @ views)
        found.append(mean_of(PART, cell, "contrast kept", kept))
        area, error = detectability(np.stack(seen[0]), np.stack(seen[1]))
        found.append(Finding(part=PART, case=cell, measure="area under the curve", value=area, error=error))
    false = [find_structures((image - head.truth) / plan.sigma, head.brain) for image in absent]
    found.append(mean_of(PART, "without lesions", "false structures a volume", (float(n) for n, _ in false)))
    found.append(mean_of(PART, "without lesions", "largest of them (voxels)", (float(n) for _, n in false)))
    return found
