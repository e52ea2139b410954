"""Objects for simulated scanners: slices of training volumes with other resolution and contrast, and phantoms.

Real anatomy has fine texture, which must not be taken for noise. Volumes as they come have it, but also noise of their
own; the denoised references have less of it, but little texture. So about half are cut in k-space to a coarser matrix,
where their noise is weaker, and they are used only if the simulated noise is much stronger than what is left. Half of
the references are sharpened, if that leaves them clean enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from mri_denoise.noise.zero_filling import undo_zero_filling
from mri_denoise.simulation import head_phantom
from mri_denoise.training.sources import Anatomy, Source, draw_source, noise_left

_PHANTOMS, _CROPPED = 0.08, 0.2  # fractions of the objects
_ORIGINALS, _SHARPENED, _CUT = 0.35, 0.5, 0.55  # of volumes: as they come, sharpened, cut to larger voxels
_COARSER = (1.0, 2.6)  # times as large are those
CLEAN = 2.5  # times the noise that is left in an object is the least simulated noise
_SHARPEST = 2.0  # times as strong makes sharpening that noise, about
_TRIES = 12  # to find a volume that is clean enough
_AS_THEY_COME = 0.35  # fraction of plain objects that are no references
SLICES = {1: 0.05, 6: 0.15, 10: 0.4, 14: 0.4}  # how many an object has, with their probabilities
_SPOTS = 12  # small structures that are added to an object, in the mean
_SMALLEST = 64  # voxels along an axis of slices that were made coarser
_THICK = 1.3  # longest edge of a voxel divided by the shortest, above which the slices are across the longest one


def plain_anatomy(families: list[list[Source]], rng: np.random.Generator, counts: Mapping[int, float]) -> Anatomy:
    """Draw some slices of a training volume or of its reference, unchanged.

    Args:
        families: of :func:`~mri_denoise.training.sources.find_sources`, at least one.
        rng: of all choices.
        counts: how many slices there are, with their probabilities.

    Raises:
        InputError: if a volume cannot be read.
    """
    source = draw_source(families, rng)
    original = source.reference is None or rng.random() < _AS_THEY_COME
    return thin_slices(source.load(original=original), rng, counts)


def random_anatomy(
    families: list[list[Source]], level: float, rng: np.random.Generator, counts: Mapping[int, float] = SLICES
) -> Anatomy:
    """Draw an object: a phantom, or some slices of a training volume.

    Args:
        families: of :func:`~mri_denoise.training.sources.find_sources`; phantoms alone if there are none.
        level: of the noise that it will get, relative to the maximum.
        rng: of all choices.
        counts: how many slices a training volume gives, with their probabilities.

    Raises:
        InputError: if a volume cannot be read.
    """
    if rng.random() < _PHANTOMS or not families:
        return random_phantom(rng)
    return finished(clean_slices(families, level, rng, counts)[0], rng)


def random_phantom(rng: np.random.Generator) -> Anatomy:
    """Draw a head phantom of random size."""
    rows, columns = (int(n) for n in rng.integers(96, 224, 2))
    edges = (220 / rows, 220 / columns, float(rng.uniform(1, 6)))
    return Anatomy(array=head_phantom((rows, columns, int(rng.integers(10, 24)))), voxel=edges)


def clean_slices(
    families: list[list[Source]], level: float, rng: np.random.Generator, counts: Mapping[int, float]
) -> tuple[Anatomy, float]:
    """Draw slices of a training volume, as it comes or denoised, whose own noise is much weaker than what they get.

    Noise that is left in the object counts as anatomy: a network that sees it finds real noise of that kind up to
    five times too low. A larger voxel, cut in k-space, weakens it; sharpening makes it stronger.

    Args:
        families: of :func:`~mri_denoise.training.sources.find_sources`, at least one.
        level: of the noise that they will get, relative to the maximum.
        rng: of all choices.
        counts: how many slices there are, with their probabilities.

    Returns:
        the slices, and how much noise is left in them, relative to their bright voxels; a phantom without noise if no
        volume is clean enough.

    Raises:
        InputError: if a volume cannot be read.
    """
    for _ in range(_TRIES):
        source = draw_source(families, rng)
        original = source.reference is None or rng.random() < _ORIGINALS
        found = thin_slices(source.load(original=original), rng, counts)
        coarse = coarser(found, float(rng.uniform(*_COARSER)) if rng.random() < _CUT else 1.0)
        left = noise_left(source, original=original) * coarse.array.shape[0] / found.array.shape[0]
        if level < CLEAN * left:
            continue
        if not original and level > CLEAN * _SHARPEST * left and rng.random() < _SHARPENED:
            return replace(coarse, array=sharpened(coarse.array, rng)), _SHARPEST * left
        return coarse, left
    return random_phantom(rng), 0.0


def finished(found: Anatomy, rng: np.random.Generator) -> Anatomy:
    """Give slices a slightly other contrast, and cut a small field of view out of some."""
    top = float(np.percentile(found.array, 99.9)) or 1.0
    array = top * (found.array / top) ** float(np.exp(rng.normal(0, 0.2)))
    return replace(found, array=_without_air(array, rng) if rng.random() < _CROPPED else array)


def thin_slices(volume: Anatomy, rng: np.random.Generator, counts: Mapping[int, float]) -> Anatomy:
    """Draw some neighbouring slices that hold signal, across any axis if the voxels are cubes.

    Args:
        volume: the whole of it.
        rng: of all choices.
        counts: how many slices there are, with their probabilities.
    """
    voxel = np.array(volume.voxel)
    axis = int(np.argmax(voxel)) if voxel.max() > _THICK * voxel.min() else int(rng.integers(3))
    array = np.moveaxis(volume.array, axis, 2)
    usable = np.flatnonzero((array > 0.1 * array.max()).mean(axis=(0, 1)) > 0.02)
    count = int(rng.choice(list(counts), p=list(counts.values())))
    centre = int(rng.choice(usable)) if usable.size else array.shape[2] // 2
    first = max(0, min(centre - count // 2, array.shape[2] - count))
    edges = (*np.delete(voxel, axis).tolist(), float(voxel[axis]))
    return Anatomy(array=array[:, :, first : first + count], voxel=edges)


def coarser(volume: Anatomy, factor: float) -> Anatomy:
    """Cut the k-space of the slices to a smaller matrix, unless they are small; noise of their own gets weaker with it.

    Args:
        volume: the slices.
        factor: times as large are the voxels then, at least 1.
    """
    if factor <= 1 or min(volume.array.shape[:2]) / factor < _SMALLEST:
        return volume
    array = undo_zero_filling(volume.array, (1 / factor, 1 / factor)).clip(0)
    return Anatomy(array=array, voxel=(volume.voxel[0] * factor, volume.voxel[1] * factor, volume.voxel[2]))


def sharpened(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Raise the high frequencies of the slices, which denoising has weakened, by up to 3.5 times.

    Args:
        array: magnitudes, shape (X, Y, slices).
        rng: of the strength.
    """
    first, second = (2 * np.fft.fftfreq(length) for length in array.shape[:2])
    radius = np.minimum(np.hypot(first[:, None], second[None]), 1.2)[..., None]
    gain = 1 + rng.uniform(0.3, 2.5) * radius ** rng.uniform(1, 3)
    sharp = np.fft.ifft2(np.fft.fft2(array, axes=(0, 1)) * gain, axes=(0, 1)).real
    return np.where(array > 0, sharp.clip(0), 0).astype(np.float32)


def _without_air(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cut a random part from the inside of the object, as scans of a small field of view show it."""
    inside = array.mean(axis=2) > 0.2 * np.percentile(array, 95)
    parts = []
    for axis in range(2):
        found = np.flatnonzero(inside.any(axis=1 - axis))
        if len(found) <= 80:
            return array
        low, high = (int(part * len(found)) for part in rng.uniform(0.1, 0.25, 2))
        parts.append(slice(found[0] + low, found[-1] - high))
    return array[tuple(parts)]


def add_spots(
    truth: np.ndarray, voxel: tuple[float, float, float], level: float, rng: np.random.Generator
) -> np.ndarray:
    """Add small structures to tissue, bright and dark, as lesions and vessels are: ellipsoids with soft edges.

    Args:
        truth: the object, shape (X, Y, slices), 0 to about 1; below a tenth there are no spots.
        voxel: edges of its voxels in mm.
        level: of the noise; contrasts are from half of it to six times it.
        rng: of all choices.

    Returns:
        a changed copy, at least 0.
    """
    changed = truth.copy()
    edges = np.array(voxel) / min(voxel)
    for _ in range(rng.poisson(_SPOTS)):
        centre = rng.uniform(0, truth.shape)
        radii, contrast = rng.uniform(0.6, 3.5, 3), level * rng.choice([-1, 1]) * rng.uniform(0.5, 6)
        if truth[tuple(centre.astype(int))] < 0.1:
            continue
        low = np.maximum(centre.astype(int) - 6, 0)
        around = tuple(slice(first, first + 13) for first in low)
        grid = np.indices(changed[around].shape).transpose(1, 2, 3, 0) + low
        distance = np.sqrt((((grid - centre) * edges / radii) ** 2).sum(-1))
        changed[around] += contrast * np.clip((1.25 - distance) / 0.5, 0, 1)
    return changed.clip(0)
