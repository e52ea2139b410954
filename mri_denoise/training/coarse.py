"""Clean objects: denoised references on a coarser grid, on which neither noise nor the texture of a filter is left.

A network that refines a filter's result learns to give back what its targets hold of either, and then loses on clean
volumes. So most of its targets are made here: their k-space ends early or softly, some are smoothed, some have another
contrast.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage, signal

from mri_denoise.simulation import head_phantom
from mri_denoise.training.sources import Anatomy, Source, draw_source
from mri_denoise.training.variety import recoloured

_FACTORS, _FACTORS_NOISY = (1.2, 2.2), (1.8, 2.3)  # of the grid, for references and for volumes that have none
_PHANTOMS, _SMOOTHED, _OTHER_CONTRAST = 0.06, 0.3, 0.3  # fractions
_FINE = 1.35  # times the shortest edge of a voxel: longer ones are not made coarser
_MARGIN = 1.15  # of what is cut out before its k-space ends, so that the cut leaves no mark
_TISSUE, _TRIES = 0.3, 20  # least fraction of voxels with signal, and places that are tried for it
_LEAST = 12  # voxels along an axis of what is cut out


def coarse_anatomy(families: list[list[Source]], rng: np.random.Generator, size: int, slices: int) -> Anatomy:
    """Draw a clean object.

    Args:
        families: of :func:`~mri_denoise.training.sources.find_sources`; phantoms alone if there are none.
        rng: of all choices.
        size: pixels of an edge of its slices, about.
        slices: how many it has, about; half as many if they are thick.

    Raises:
        InputError: if a volume cannot be read.
    """
    if rng.random() < _PHANTOMS or not families:
        first_edge, second_edge, count = (int(n) for n in rng.integers(90, 150, 3))
        phantom = head_phantom((first_edge, second_edge, count))
        first = (count - slices) // 2
        return Anatomy(array=phantom[:, :, first : first + slices], voxel=(1.0, 1.0, 1.0))
    source = draw_source(families, rng)
    volume = source.load(original=False)
    factor = float(rng.uniform(*(_FACTORS if source.reference else _FACTORS_NOISY)))
    edges = np.array(volume.voxel)
    fine = edges < _FINE * edges.min()
    across = int(np.argmax(edges)) if not fine.all() else int(rng.integers(3))
    wanted = np.full(3, size)
    wanted[across] = slices if fine.all() else max(slices // 2, _LEAST)
    factors = np.where(fine, factor, 1.0)
    part = _place(volume.array, wanted * factors * _MARGIN, rng)
    array = _end_kspace(part, [max(round(n / f), 1) for n, f in zip(part.shape, factors, strict=True)], rng)
    if rng.random() < _SMOOTHED:
        array = ndimage.gaussian_filter(array, [rng.uniform(0, 0.9) if axis else 0 for axis in fine])
    if rng.random() < _OTHER_CONTRAST:
        array = recoloured(array, rng)
    array = np.moveaxis(array, across, 2)
    first = max(array.shape[2] - int(wanted[across]), 0) // 2
    row, column = np.delete(edges * factors, across).tolist()
    voxel = (row, column, float((edges * factors)[across]))
    return Anatomy(array=np.ascontiguousarray(array[:, :, first : first + int(wanted[across])]), voxel=voxel)


def _place(volume: np.ndarray, size: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cut a random box with enough tissue out of a volume, or the last that was tried."""
    shape = [max(min(int(want), n), min(_LEAST, n)) for want, n in zip(size, volume.shape, strict=True)]
    least = 0.1 * float(np.percentile(volume, 99.9))
    part = volume
    for _ in range(_TRIES):
        starts = [int(rng.integers(n - count + 1)) for n, count in zip(volume.shape, shape, strict=True)]
        part = volume[tuple(slice(start, start + count) for start, count in zip(starts, shape, strict=True))]
        if (part > least).mean() > _TISSUE:
            break
    return part


def _end_kspace(array: np.ndarray, shape: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """Keep the middle of the k-space, weighted along each axis that becomes shorter by a random raised cosine."""
    for axis, (count, before) in enumerate(zip(shape, array.shape, strict=True)):
        if count < before:
            softness, place = rng.uniform(0, 1), np.minimum(2 * np.abs(np.fft.fftfreq(before)) * before / count, 1)
            array = signal.resample(array, count, axis=axis, window=1 - softness * np.sin(np.pi / 2 * place) ** 2)
    return np.abs(array).astype(np.float32)
