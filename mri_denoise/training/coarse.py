"""Clean objects: denoised references on a coarser grid, on which neither noise nor the texture of a filter is left.

A network that refines a filter's result learns to give back what its targets hold of either, and then loses on clean
volumes. So most of its targets are made here: their k-space ends early or softly, some are smoothed, some have another
contrast.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from mri_denoise.simulation import head_phantom
from mri_denoise.training.anatomy import Anatomy, Source, load_source

_FACTORS, _FACTORS_NOISY = (1.2, 2.2), (1.8, 2.3)  # of the grid, for references and for volumes that have none
_PHANTOMS, _SMOOTHED, _OTHER_CONTRAST, _MONOTONE = 0.06, 0.3, 0.3, 0.6  # fractions
_FINE = 1.35  # times the shortest edge of a voxel: longer ones are not made coarser
_MARGIN = 1.15  # of what is cut out before its k-space ends, so that the cut leaves no mark
_TISSUE, _TRIES = 0.3, 20  # least fraction of voxels with signal, and places that are tried for it
_LEAST = 12  # voxels along an axis of what is cut out


def coarse_anatomy(families: list[list[Source]], rng: np.random.Generator, size: int, slices: int) -> Anatomy:
    """Draw a clean object.

    Args:
        families: of :func:`~mri_denoise.training.anatomy.find_sources`; phantoms alone if there are none.
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
    family = families[int(rng.integers(len(families)))]
    source = family[int(rng.integers(len(family)))]
    volume = load_source(source.reference or source.original)
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
    top = float(np.percentile(array, 99.9)) or 1.0
    if rng.random() < _OTHER_CONTRAST:
        array = top * _change_contrast(array / top, rng)
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
    spectrum = np.fft.fftshift(np.fft.fftn(array))
    centre = [n // 2 for n in array.shape]
    spectrum = spectrum[tuple(slice(c - n // 2, c - n // 2 + n) for c, n in zip(centre, shape, strict=True))]
    for axis, (count, before) in enumerate(zip(shape, array.shape, strict=True)):
        if count < before:
            place = np.minimum(np.abs(np.arange(count) - count // 2) / (count / 2), 1)
            softness = rng.uniform(0, 1)
            window = 1 - softness + softness * np.cos(np.pi / 2 * place) ** 2
            spectrum = spectrum * np.expand_dims(window, [other for other in range(3) if other != axis])
    scale = np.prod(shape) / array.size
    return np.abs(scale * np.fft.ifftn(np.fft.ifftshift(spectrum))).astype(np.float32)


def _change_contrast(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Map intensities of about [0, 1] by a random curve through 0, rising or not."""
    given, wanted = np.sort(rng.uniform(0.03, 1.03, 5)), rng.uniform(0.05, 1.2, 5)
    if rng.random() < _MONOTONE:
        wanted = np.sort(wanted)
    return np.interp(array, [0, *given], [0, *wanted]).astype(np.float32)
