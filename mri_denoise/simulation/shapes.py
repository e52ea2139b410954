"""Compute signed distances (mm, negative inside) to simple shapes, of which the head phantom is made."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.interpolate import PchipInterpolator

Point = tuple[float, float, float]
Coordinates = tuple[np.ndarray, np.ndarray, np.ndarray]


def ellipsoid(at: Coordinates, centre: Point, radii: Point) -> np.ndarray:
    """Compute the distance to an ellipsoid, exact at its surface to first order.

    The distance is ``k0 (k0 - 1) / k1`` with ``k0 = |p / r|`` and ``k1 = |p / r^2|``.

    Args:
        at: x, y, z in mm, arrays that broadcast together.
        centre: in mm.
        radii: half axes in mm.

    Returns:
        float32 array of the broadcast shape.
    """
    squares = [((c - o) / np.float32(r)) ** 2 for c, o, r in zip(at, centre, radii, strict=True)]
    k0 = np.sqrt(squares[0] + squares[1] + squares[2])
    scaled = [s / np.float32(r * r) for s, r in zip(squares, radii, strict=True)]
    k1 = np.sqrt(scaled[0] + scaled[1] + scaled[2])
    return k0 * (k0 - 1) / np.maximum(k1, np.float32(1e-6))


def tube(at: Coordinates, points: Sequence[Point], radii: Sequence[float]) -> np.ndarray:
    """Compute the distance to a tube along a smooth curve.

    Args:
        at: x, y, z in mm, arrays that broadcast together.
        points: on the curve, in mm, two or more.
        radii: of the tube at each point, in mm; interpolated in between.

    Returns:
        float32 array of the broadcast shape.

    Raises:
        ValueError: if there are fewer than two points.
    """
    if len(points) < 2:
        raise ValueError("a tube needs two points or more")
    nearest: np.ndarray = np.full((), np.inf, dtype=np.float32)
    knots = np.column_stack([np.asarray(points, dtype=np.float64), np.asarray(radii, dtype=np.float64)])
    if len(knots) > 2:
        fine = np.linspace(0, len(knots) - 1, 3 * len(knots) - 2)
        knots = PchipInterpolator(np.arange(len(knots)), knots)(fine)
    for (*start, first), (*stop, last) in zip(knots[:-1], knots[1:], strict=True):
        axis = np.subtract(stop, start).astype(np.float32)
        offset = [c - np.float32(o) for c, o in zip(at, start, strict=True)]
        along = sum(o * a for o, a in zip(offset, axis, strict=True)) / np.float32(axis @ axis)
        along = np.clip(along, 0, 1)
        squares = [(o - along * a) ** 2 for o, a in zip(offset, axis, strict=True)]
        radius = np.float32(first) + along * np.float32(last - first)
        nearest = np.minimum(nearest, np.sqrt(squares[0] + squares[1] + squares[2]) - radius)
    return nearest


def join(a: np.ndarray, b: np.ndarray, blend: float) -> np.ndarray:
    """Unite two shapes with a fillet: the polynomial smooth minimum.

    Args:
        a: distance to one shape in mm.
        b: distance to the other shape in mm.
        blend: width of the fillet in mm.
    """
    h = np.clip(0.5 + (b - a) / np.float32(2 * blend), 0, 1)
    return b + (a - b) * h - np.float32(blend) * h * (1 - h)


def waves(
    axes: Coordinates, generator: np.random.Generator, wavelengths: tuple[float, float], count: int
) -> np.ndarray:
    """Make a smooth random field of unit variance on a grid: a sum of plane waves in random directions.

    A plane wave is a product over the axes, so the sum is one matrix product.

    Args:
        axes: x, y, z in mm, shapes (X, 1, 1), (1, Y, 1), (1, 1, Z).
        generator: source of directions, wavelengths and phases.
        wavelengths: the shortest and the longest in mm.
        count: number of waves.

    Returns:
        float32 array of shape (X, Y, Z).
    """
    directions = generator.standard_normal((3, count))
    directions /= np.linalg.norm(directions, axis=0)
    k = directions * 2 * np.pi / generator.uniform(*wavelengths, count)
    phase = np.exp(2j * np.pi * generator.random(count))
    x, y, z = (np.exp(1j * np.outer(axis.ravel(), row)) for axis, row in zip(axes, k, strict=True))
    plane = ((x * phase)[:, None, :] * y[None, :, :]).reshape(-1, count)
    # the real part of the complex product as one real product of twice the length
    left = np.concatenate([plane.real, -plane.imag], axis=1).astype(np.float32)
    right = np.concatenate([z.real, z.imag], axis=1).astype(np.float32)
    return (left @ right.T).reshape(len(x), len(y), len(z)) * np.float32(np.sqrt(2 / count))
