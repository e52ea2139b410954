"""Make other objects out of a training volume: turned and stretched, of other contrast, finer, two joined into one.

There are few heads to learn the level of the noise from. A network that has seen them often takes their texture for
what texture is. Random contrasts and shapes are what SynthSeg (Billot et al., 2023,
https://arxiv.org/abs/2107.09559) made of few heads; joining two of them follows mixup (Zhang et al., 2018,
https://arxiv.org/abs/1710.09412).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from monai.transforms import Affine, CenterSpatialCrop
from scipy import ndimage, signal, special

from mri_denoise.training.anatomy import CLEAN, SLICES, clean_slices, finished, random_phantom
from mri_denoise.training.sources import Anatomy, Source

_EVEN, _PHANTOMS = 0.15, 0.15  # fractions of the objects
_RECOLOURED, _JOINED, _TURNED, _FINER = 0.5, 0.25, 0.4, 0.2  # fractions of those that are made of volumes
_RISING = 0.6  # fraction of the curves of contrast
_KNOTS = 6  # of a curve of contrast, evenly spread from 0 to the maximum
_STEEPEST = 2.5  # slope of a curve of contrast, before its maximum is made 1: steep ones make hard edges of soft ones
_STRETCH = 0.15  # standard deviation of the logarithm of a stretch
_TIMES = (1.1, 1.8)  # times as many voxels along the axes of a slice
_MOST = 320  # voxels along an axis of a slice that was made finer
_LEAST = 48  # voxels along an axis of what two objects have in common


def varied_anatomy(
    families: list[list[Source]], level: float, rng: np.random.Generator, counts: Mapping[int, float] = SLICES
) -> Anatomy:
    """Draw an object to train on: as :func:`~mri_denoise.training.anatomy.random_anatomy` does, and others made of it.

    Args:
        families: of :func:`~mri_denoise.training.sources.find_sources`; phantoms and even tissue if there are none.
        level: of the noise that it will get, relative to the maximum.
        rng: of all choices.
        counts: how many slices a training volume gives, with their probabilities.

    Raises:
        InputError: if a volume cannot be read.
    """
    kind = rng.random()
    if kind < _EVEN:
        number = int(rng.choice(list(counts), p=list(counts.values())))
        return Anatomy(array=even(rng, number), voxel=(1.0, 1.0, float(rng.uniform(1, 5))))
    if kind < _EVEN + _PHANTOMS or not families:
        return random_phantom(rng)
    found = _slices(families, level, rng, counts)
    array = found.array
    if rng.random() < _JOINED:
        array = joined(array, _slices(families, level, rng, counts).array, rng)
    if rng.random() < _TURNED:
        array = turned(array, rng)
    if rng.random() < _FINER:
        array = finer(array, rng)
    return finished(replace(found, array=array), rng)


def _slices(
    families: list[list[Source]], level: float, rng: np.random.Generator, counts: Mapping[int, float]
) -> Anatomy:
    """Clean slices, of another contrast in half of the cases, if a steep one leaves them clean."""
    found, left = clean_slices(families, level, rng, counts)
    if level > CLEAN * _STEEPEST * left and rng.random() < _RECOLOURED:
        return replace(found, array=recoloured(found.array, rng))
    return found


def recoloured(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change the contrast by a random curve, which may fall where the signal rises. Air stays dark, no slope is steep.

    Args:
        array: magnitudes, at least 0; noise of their own is changed with them.
        rng: of the curve.
    """
    top = float(np.percentile(array, 99.9)) or 1.0
    heights = [0.0]
    for _ in range(_KNOTS - 1):
        most = _STEEPEST / (_KNOTS - 1)
        heights.append(float(rng.uniform(max(heights[-1] - most, 0.02), min(heights[-1] + most, 1))))
    if rng.random() < _RISING:
        heights.sort()
    curve = np.array(heights) / max(heights)
    # straight beyond the last knot, so that what is brighter than nearly all stays apart
    beyond = np.maximum(array / top - 1, 0)
    return (top * (np.interp(array / top, np.linspace(0, 1, _KNOTS), curve) + beyond)).astype(np.float32)


def turned(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turn the slices by a random angle and stretch them, by cubic splines; the size stays, air fills the corners.

    Args:
        array: magnitudes, shape (X, Y, slices).
        rng: of all choices.
    """
    turn = Affine(
        rotate_params=float(rng.uniform(0, 2 * np.pi)),
        scale_params=np.exp(rng.normal(0, _STRETCH, 2)).tolist(),
        mode=3,
        padding_mode="grid-constant",
        image_only=True,
    )
    found = np.asarray(turn(torch.from_numpy(np.moveaxis(array, 2, 0))))
    return np.ascontiguousarray(np.moveaxis(found, 0, 2).clip(0), dtype=np.float32)


def finer(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Zero-fill the k-space of the slices: an object whose detail ends below what the scanner resolves, and rings.

    Args:
        array: magnitudes, shape (X, Y, slices).
        rng: of the factor.
    """
    factor = min(float(rng.uniform(*_TIMES)), _MOST / max(array.shape[:2]))
    if factor <= 1:
        return array
    found = array
    for axis in range(2):
        found = signal.resample(found, 2 * int(factor * array.shape[axis] / 2), axis=axis)
    return found.clip(0).astype(np.float32)


def joined(first: np.ndarray, second: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Make one object of two: their sum, weighted at random, or one on each side of a soft border.

    Args:
        first: magnitudes, shape (X, Y, slices).
        second: likewise; the middles lie on each other, and what both have in common is kept.
        rng: of all choices.
    """
    shape = tuple(min(pair) for pair in zip(first.shape, second.shape, strict=True))
    if min(shape[:2]) < _LEAST:
        return first
    tops = [float(np.percentile(array, 99.9)) or 1.0 for array in (first, second)]
    one, other = (np.asarray(CenterSpatialCrop(shape)(torch.from_numpy(array[None])))[0] for array in (first, second))
    share: np.ndarray = np.array(rng.uniform(0.2, 0.8))
    if rng.random() < 0.5:
        rows, columns = (np.linspace(-1, 1, length) for length in shape[:2])
        angle, width = rng.uniform(0, 2 * np.pi), rng.uniform(0.02, 0.3)
        across = np.cos(angle) * rows[:, None] + np.sin(angle) * columns - rng.normal(0, 0.2)
        share = special.expit(across / width)[..., None]
    return (share * one + (1 - share) * tops[0] / tops[1] * other).astype(np.float32)


def even(rng: np.random.Generator, count: int) -> np.ndarray:
    """Draw tissue without texture: of one value or changing slowly, that fills the slices or is an ellipse in air.

    Heads have no large even tissue, so the level there came out up to 1.4 times too high.

    Args:
        rng: of all choices.
        count: number of slices.

    Returns:
        shape (X, Y, ``count``), 0 to 1.
    """
    rows, columns = (int(n) for n in rng.integers(48, 224, 2))
    array = np.ones((rows, columns, count), dtype=np.float32)
    if rng.random() < 0.6:
        field = ndimage.gaussian_filter(rng.normal(size=array.shape), (*rng.uniform(8, 40, 2), 3.0), mode="wrap")
        field -= field.mean()  # of a field as smooth as the slice is wide, the mean would be all there is
        array += rng.uniform(0.05, 0.3) * (field / max(float(field.std()), 1e-12)).astype(np.float32)
    if rng.random() < 0.5:
        places = np.meshgrid(np.linspace(-1, 1, rows), np.linspace(-1, 1, columns), indexing="ij")
        radius = np.hypot(*(place / edge for place, edge in zip(places, rng.uniform(0.5, 0.95, 2), strict=True)))
        array *= np.clip((1 - radius) * min(rows, columns) / 4 + 0.5, 0, 1)[..., None].astype(np.float32)
    return array.clip(0) / array.max()
