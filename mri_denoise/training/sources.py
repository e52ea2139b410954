"""The volumes of a data set that objects are made of, and how much noise is in them."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from mri_denoise.errors import InputError
from mri_denoise.io import discover, read
from mri_denoise.noise.level import estimate_sigma
from mri_denoise.noise.model import find_noise
from mri_denoise.training.references import FOLDER
from mri_denoise.training.scans import DATALIST
from mri_denoise.volume import voxel_sizes

_KEPT = 128  # volumes in memory
_SURE = 0.5  # confidence in the level of the noise, above which what is left in a reference can be told


@dataclass(frozen=True, kw_only=True)
class Source:
    """One training volume.

    Args:
        original: as it comes.
        reference: the same denoised; None if there is none.
    """

    original: Path
    reference: Path | None

    def load(self, *, original: bool) -> Anatomy:
        """The volume as it comes, or its reference if there is one.

        Raises:
            InputError: if it cannot be read.
        """
        return _load(self.original if original or self.reference is None else self.reference)


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """A noise-free object.

    Args:
        array: shape (X, Y, slices).
        voxel: edges of the voxels in mm.
    """

    array: np.ndarray
    voxel: tuple[float, float, float]


def find_sources(dataset: Path, part: str) -> list[list[Source]]:
    """Find the volumes of a datalist, by data set and contrast, each of which is drawn as often as the others.

    Args:
        dataset: folder with ``datalist.json``.
        part: list of the datalist.

    Raises:
        InputError: if there is no usable datalist.
    """
    listed = dataset / DATALIST
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


def draw_source(families: list[list[Source]], rng: np.random.Generator) -> Source:
    """Draw a volume: each of the families as often as the others."""
    family = families[int(rng.integers(len(families)))]
    return family[int(rng.integers(len(family)))]


@lru_cache(maxsize=_KEPT)
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


@cache
def noise_left(source: Source, *, original: bool) -> float:
    """Estimate the noise that is in a volume already, relative to its bright voxels.

    Args:
        source: the volume.
        original: whether it is meant as it comes; otherwise its reference. A reference that was denoised by an
            uncertain level may have kept nearly all of its noise, so it counts as it came.

    Raises:
        InputError: if it cannot be read.
    """
    if original or source.reference is None or not _is_sure(source.original):
        return _own_noise(source.original)
    array = _load(source.reference).array
    return find_noise(array).level / max(float(np.percentile(array, 99.9)), 1e-30)


@cache
def _is_sure(path: Path) -> bool:
    """Whether the level of the noise of a volume as it comes can be told."""
    return find_noise(_load(path).array).confidence.level > _SURE
