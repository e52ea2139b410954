"""Make the scans that the noise-level network learns from: training volumes through random simulated scanners.

Real anatomy has fine texture, which must not be taken for noise. Volumes as they come have it, but also noise of their
own; the denoised references have no noise, but little texture. So volumes as they come are cut in k-space to a coarser
matrix, where their noise is weaker, and are used only if the simulated noise is much stronger still; references are
sharpened in half of the scans.
"""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from mri_denoise.errors import InputError
from mri_denoise.io import discover, read
from mri_denoise.io.files import write_beside
from mri_denoise.noise.level import estimate_sigma
from mri_denoise.noise.tissue_levels import CELL
from mri_denoise.noise.zero_filling import undo_zero_filling
from mri_denoise.simulation import head_phantom
from mri_denoise.simulation.scanner import Scan, scan
from mri_denoise.simulation.scanner_choice import random_parameters
from mri_denoise.training.references import FOLDER
from mri_denoise.volume import voxel_sizes

LEVELS = (0.0007, 0.12)  # of the maximum; small values are as likely as large ones
_PHANTOMS, _ORIGINALS, _SHARPENED, _CROPPED = 0.08, 0.5, 0.5, 0.2  # fractions of the scans
_STRONGER = 3.0  # times the noise of a volume as it comes is the least simulated noise
_GREYS = 65535  # of the largest voxel
_SLICES, _SLICE_SHARES = (1, 6, 10, 14), (0.05, 0.15, 0.4, 0.4)
_THICK = 1.3  # longest edge of a voxel divided by the shortest, above which the slices are across the longest one


@dataclass(frozen=True, kw_only=True)
class Source:
    """One training volume.

    Args:
        original: as it comes.
        reference: the same denoised; None if there is none.
    """

    original: Path
    reference: Path | None


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """A noise-free object.

    Args:
        array: shape (X, Y, slices).
        voxel: edges of the voxels in mm.
    """

    array: np.ndarray
    voxel: tuple[float, float, float]


def make_scans(dataset: Path, output: Path, count: int, seed: int = 0, part: str = "training") -> Iterator[Path]:
    """Write scans. Those that exist are kept, so that an interrupted run can go on.

    A file (``.npz``) holds ``image``, uint16, shape (X, Y, slices); ``level``, float32, shape (X // 8, Y // 8, slices),
    the mean natural logarithm of sigma over the tissue of each cell, in the image's unit; and ``tissue``, float16, the
    fraction of each cell that is tissue.

    Args:
        dataset: folder with ``datalist.json``, as ``mri-denoise data prepare`` and ``data references`` make it.
        output: folder of the scans.
        count: how many.
        seed: of all choices and of the noise; scan ``i`` does not depend on ``count``.
        part: list of the datalist.

    Yields:
        the path of each scan.

    Raises:
        InputError: if there is no usable datalist, or a volume cannot be read.
    """
    families = find_sources(dataset, part)
    output.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        path = output / f"scan_{seed}_{index:05d}.npz"
        if not path.exists():
            with write_beside(path) as temporary, open(temporary, "wb") as file:
                arrays: dict[str, Any] = _arrays(random_scan(families, np.random.default_rng([seed, index])))
                np.savez(file, **arrays)
        yield path


def random_scan(families: list[list[Source]], rng: np.random.Generator, levels: tuple[float, float] = LEVELS) -> Scan:
    """Put a random object through a random scanner.

    Args:
        families: of :func:`find_sources`; phantoms alone if there are none.
        rng: of all choices and of the noise.
        levels: lowest and highest sigma, relative to the maximum.

    Returns:
        the scan; its slices lie across the last axis.

    Raises:
        InputError: if a volume cannot be read.
    """
    level = float(np.exp(rng.uniform(*np.log(levels))))
    anatomy = _anatomy(families, level, rng)
    parameters = dataclasses.replace(random_parameters(rng), level=level)
    return scan(anatomy.array, anatomy.voxel, parameters, rng, bore_axis=int(rng.integers(3)))


def _arrays(found: Scan) -> dict[str, np.ndarray]:
    """What is kept of a scan."""
    scale = _GREYS / (float(found.image.max(initial=0)) or 1.0)
    bright = 0.03 * np.percentile(found.truth, 99.5)
    tissue = (found.truth > np.maximum(found.sigma, bright)) & (found.image > 0)
    logs = np.where(tissue, np.log(np.maximum(scale * found.sigma, 1e-9)), 0)
    number = _cell_sums(tissue)
    return {
        "image": np.round(scale * found.image).astype(np.uint16),
        "level": (_cell_sums(logs) / np.maximum(number, 1)).astype(np.float32),
        "tissue": (number / CELL**2).astype(np.float16),
    }


def _cell_sums(values: np.ndarray) -> np.ndarray:
    """Sums over cells of 8 x 8 voxels, shape (X // 8, Y // 8, slices)."""
    rows, columns = values.shape[0] // CELL, values.shape[1] // CELL
    blocks = values[: rows * CELL, : columns * CELL].reshape(rows, CELL, columns, CELL, -1)
    return blocks.sum(axis=(1, 3), dtype=np.float64)


def find_sources(dataset: Path, part: str) -> list[list[Source]]:
    """Find the volumes of a datalist, by data set and contrast, each of which is drawn as often as the others.

    Args:
        dataset: folder with ``datalist.json``.
        part: list of the datalist.

    Raises:
        InputError: if there is no usable datalist.
    """
    listed = dataset / "datalist.json"
    try:
        entries = json.loads(listed.read_text(encoding="utf-8"))[part]
        images = [(Path(entry["image"]), str(entry.get("contrast", ""))) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{listed}: not a datalist with a list {part!r}; run mri-denoise data prepare.") from error
    references = {path.relative_to(FOLDER): dataset / path for path, _ in images if path.parts[0] == FOLDER}
    families: dict[tuple[str, str], list[Source]] = defaultdict(list)
    for path, contrast in images:
        if path.parts[0] != FOLDER:
            reference = references.get(path.relative_to(path.parts[0]))
            source = Source(original=dataset / path, reference=reference)
            families[path.name.split("_")[0], contrast].append(source)
    if not families:
        raise InputError(f"{listed}: its list {part!r} is empty.")
    return list(families.values())


@cache
def _load(path: Path) -> Anatomy:
    """The first volume of a file."""
    cases, skips = discover(path)
    if len(cases) != 1:
        raise InputError(f"{path}: {skips[0].reason if skips else 'not one volume'}.")
    volume = read(cases[0])
    first, second, third = (float(edge) for edge in voxel_sizes(volume.affine))
    return Anatomy(array=np.nan_to_num(volume.array[0]).clip(0), voxel=(first, second, third))


@cache
def _own_noise(path: Path) -> float:
    """The noise of a volume as it comes, relative to its bright voxels."""
    array = _load(path).array
    return estimate_sigma(array).sigma / max(float(np.percentile(array, 99.9)), 1e-30)


def _anatomy(families: list[list[Source]], level: float, rng: np.random.Generator) -> Anatomy:
    """A phantom, or some slices of a training volume."""
    if rng.random() < _PHANTOMS or not families:
        rows, columns = (int(n) for n in rng.integers(96, 224, 2))
        edges = (220 / rows, 220 / columns, float(rng.uniform(1, 6)))
        return Anatomy(array=head_phantom((rows, columns, int(rng.integers(10, 24)))), voxel=edges)
    family = families[int(rng.integers(len(families)))]
    source = family[int(rng.integers(len(family)))]
    factor = float(rng.uniform(1.5, 2.6))
    original = source.reference is None or (
        rng.random() < _ORIGINALS and level > _STRONGER * _own_noise(source.original) / factor
    )
    found = _slices(_load(source.original if original else source.reference or source.original), rng)
    if not original:
        factor = float(rng.uniform(1, 2.2)) if rng.random() < 0.4 else 1.0
    if factor > 1 and min(found.array.shape[:2]) / factor >= 64:
        found = _coarser(found, factor)
    array = found.array
    if not original and rng.random() < _SHARPENED:
        array = _sharpened(array, rng)
    top = float(np.percentile(array, 99.9)) or 1.0
    array = top * (array / top) ** float(np.exp(rng.normal(0, 0.2)))  # other contrasts
    if rng.random() < _CROPPED:
        array = _without_air(array, rng)
    return Anatomy(array=array, voxel=found.voxel)


def _slices(volume: Anatomy, rng: np.random.Generator) -> Anatomy:
    """Some neighbouring slices that hold signal, of thin slices across any axis."""
    voxel = np.array(volume.voxel)
    axis = int(np.argmax(voxel)) if voxel.max() > _THICK * voxel.min() else int(rng.integers(3))
    array = np.moveaxis(volume.array, axis, 2)
    usable = np.flatnonzero((array > 0.1 * array.max()).mean(axis=(0, 1)) > 0.02)
    count = int(rng.choice(_SLICES, p=_SLICE_SHARES))
    centre = int(rng.choice(usable)) if usable.size else array.shape[2] // 2
    first = max(0, min(centre - count // 2, array.shape[2] - count))
    edges = (*np.delete(voxel, axis).tolist(), float(voxel[axis]))
    return Anatomy(array=array[:, :, first : first + count], voxel=edges)


def _coarser(volume: Anatomy, factor: float) -> Anatomy:
    """Cut the k-space of the slices to a smaller matrix."""
    array = undo_zero_filling(volume.array, (1 / factor, 1 / factor)).clip(0)
    return Anatomy(array=array, voxel=(volume.voxel[0] * factor, volume.voxel[1] * factor, volume.voxel[2]))


def _sharpened(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Raise the high frequencies of the slices, which denoising has weakened."""
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
