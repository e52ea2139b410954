"""Make the scans that the noise-level network learns from: training volumes through random simulated scanners."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mri_denoise.io.files import write_beside
from mri_denoise.noise.cells import CELL
from mri_denoise.simulation.scanner import Scan, scan
from mri_denoise.simulation.scanner_choice import random_parameters
from mri_denoise.training.anatomy import random_anatomy
from mri_denoise.training.sources import Anatomy, Source, find_sources
from mri_denoise.training.variety import varied_anatomy

LEVELS = (0.0007, 0.12)  # of the maximum; small values are as likely as large ones
_GREYS = 65535  # of the largest voxel


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
            found = random_scan(families, np.random.default_rng([seed, index]), draw=varied_anatomy)
            with write_beside(path) as temporary, open(temporary, "wb") as file:
                arrays: dict[str, Any] = _arrays(found)
                np.savez(file, **arrays)
        yield path


def random_scan(
    families: list[list[Source]],
    rng: np.random.Generator,
    levels: tuple[float, float] = LEVELS,
    draw: Callable[[list[list[Source]], float, np.random.Generator], Anatomy] = random_anatomy,
) -> Scan:
    """Put a random object through a random scanner.

    Args:
        families: of :func:`find_sources`; phantoms alone if there are none.
        rng: of all choices and of the noise.
        levels: lowest and highest sigma, relative to the maximum.
        draw: the object, given the families, the level of its noise and the choices.

    Returns:
        the scan; its slices lie across the last axis.

    Raises:
        InputError: if a volume cannot be read.
    """
    level = float(np.exp(rng.uniform(*np.log(levels))))
    anatomy = draw(families, level, rng)
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
