"""Objects of odd shapes: irregular lesions, and thin vessels, as the share of each voxel that they fill."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

_FINE = 3  # points along each axis of a voxel by which partial volume is computed
_LOBES = 6.0  # a lesion's diameter by the smoothness of its outline
_RAGGED = 1.5  # how much of the outline is chance: the larger, the less round
_STEP = 0.25  # of the shortest edge of a voxel, along a vessel
_BEND = 0.04  # radians a step


def irregular(voxel: np.ndarray, diameter: float, rng: np.random.Generator) -> np.ndarray:
    """A lesion with lobes: the largest connected part of a smooth random field above a threshold.

    The field falls with the distance from the middle, and the threshold is such that the lesion has about the volume of
    a sphere.

    Args:
        voxel: edges in mm, shape (3,).
        diameter: of that sphere, in mm.
        rng: source of randomness.

    Returns:
        the share of each voxel, float64 from 0 to 1, with an odd number of voxels along each axis.
    """
    reach = np.ceil(diameter / voxel).astype(int)
    places = _points(voxel, reach)
    step = voxel / _FINE
    field = ndimage.gaussian_filter(rng.standard_normal(places.shape[1:]), diameter / _LOBES / step)
    radius = np.sqrt(np.square(places).sum(axis=0)) / (diameter / 2)
    field = _RAGGED * field / field.std() - 2 * np.square(radius)
    count = max(int(np.pi / 6 * diameter**3 / step.prod()), 1)
    inside = field >= np.partition(field, -count, axis=None)[-count]
    labels, _ = ndimage.label(inside)
    largest = labels == np.argmax(np.bincount(labels.ravel())[1:]) + 1
    return _share(largest)


def vessel(
    voxel: np.ndarray, diameter: float, length: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A curved tube through the middle of a patch.

    Args:
        voxel: edges in mm, shape (3,).
        diameter: in mm.
        length: in mm.
        rng: source of randomness.

    Returns:
        the share of each voxel as :func:`irregular`, and the distance of each voxel from the tube's line in mm.
    """
    step, direction = _STEP * float(voxel.min()), rng.standard_normal(3)
    halves = [_walk(rng, side * direction, int(length / 2 / step), step) for side in (1, -1)]
    line = cKDTree(np.concatenate([np.zeros((1, 3)), *halves]))
    reach = np.ceil((length / 2 + diameter) / voxel).astype(int)
    places = _points(voxel, reach)
    apart, _ = line.query(places.reshape(3, -1).T, distance_upper_bound=diameter)
    share = _share((apart <= diameter / 2).reshape(places.shape[1:]))
    axes = [np.arange(-r, r + 1) * edge for r, edge in zip(reach, voxel, strict=True)]
    centres = np.stack(np.meshgrid(*axes, indexing="ij"))
    distance, _ = line.query(centres.reshape(3, -1).T)
    return share, distance.reshape(share.shape)


def _walk(rng: np.random.Generator, direction: np.ndarray, count: int, step: float) -> np.ndarray:
    """Points of a line that bends a little with each step, shape (count, 3)."""
    place, points = np.zeros(3), []
    for _ in range(count):
        direction = direction + _BEND * rng.standard_normal(3)
        direction = direction / np.linalg.norm(direction)
        place = place + step * direction
        points.append(place)
    return np.array(points).reshape(-1, 3)


def _points(voxel: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Places within voxels, in mm from the middle of a patch: shape (3, X, Y, Z) times the points of a voxel."""
    inner = (np.arange(_FINE) + 0.5) / _FINE - 0.5
    axes = [((np.arange(-r, r + 1)[:, None] + inner) * edge).ravel() for r, edge in zip(reach, voxel, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"))


def _share(inside: np.ndarray) -> np.ndarray:
    """The share of each voxel's points that are inside."""
    x, y, z = (n // _FINE for n in inside.shape)
    share: np.ndarray = inside.reshape(x, _FINE, y, _FINE, z, _FINE).mean(axis=(1, 3, 5))
    return share
