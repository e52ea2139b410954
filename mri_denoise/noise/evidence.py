"""Measure the noise in tissue and in air, and decide which of the two is the level.

Tissue shows the noise where it matters, and how it varies in space, but texture hides it where the noise is weak. Air
has no texture, but is often suppressed, filtered or combined in another way than the tissue. Air that follows
Rayleigh's law beyond doubt gives the level more exactly than tissue does; it is taken if the tissue agrees with it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from mri_denoise.noise.blocks import interpolate_grid
from mri_denoise.noise.cells import CELL, NARROW, Cells, measure_cells
from mri_denoise.noise.detail import DetailBlocks
from mri_denoise.noise.rician import RAYLEIGH_MEAN
from mri_denoise.noise.tissue_levels import LevelMap, measure_levels
from mri_denoise.noise.zero_filling import undo_zero_filling

Source = Literal["air", "tissue", "none"]

_ALIKE = 0.85  # coverage of k-space along one axis / along the other, above which they count as alike
_TISSUE = 0.15  # times the mean of the bright blocks: blocks with a higher mean hold tissue
_FEW = 100  # blocks of tissue: fewer are not enough
_AGREE = (0.08, 0.8)  # logarithm of level / air at which the two agree: at no expected error, and per expected error
_UNEVEN, _UNEVEN_WEAK = 0.75, 0.85  # unevenness of tissue, and of weak tissue, whose level the air does not tell
_WEAK = (3.0, 3.5)  # mean of tissue / sigma of air: up to the first it is weak, from the second on it is not
_UNSURE = 0.35  # expected error from which a level of tissue above that of air may be texture
# logarithm of level / air above which an even level is texture, and the unevenness below which it is even: what raises
# the noise of tissue over that of the air (coils, parallel imaging, an intensity correction) is not even
_TEXTURE, _EVEN = 0.4, 0.2
_TRUSTED = 0.2, 0.4  # expected error up to which a raise is whole, and from which it is half
_DARKER = 1.2  # noise / what the darkest blocks say: air is rarely darker than its noise explains
_LOWER = 0.08  # added in weak tissue to the limit for levels below that of the air


@dataclass(frozen=True, kw_only=True)
class Tissue:
    """The noise in the tissue of a volume, in the unit of the slices.

    Args:
        blocks: of the whole image.
        inside: the blocks of tissue.
        found: the level of the noise, on the grid of cells.
        level: of the noise, shape ``blocks.grid``.
    """

    blocks: DetailBlocks
    inside: DetailBlocks
    found: LevelMap
    level: np.ndarray


def measure_tissue(
    slices: np.ndarray,
    blocks: DetailBlocks,
    *,
    filled: Sequence[float] = (1.0, 1.0),
    scale: float = 1.0,
    as_map: bool = False,
) -> Tissue | None:
    """Measure the level of the noise in tissue, as a map.

    Args:
        slices: magnitudes, shape (X, Y, slices).
        blocks: of the slices (:func:`~mri_denoise.noise.detail.cut_detail`), in the unit of the measurement.
        filled: fraction of k-space along the two axes of a slice beyond which it was filled with zeros
            (:func:`~mri_denoise.noise.zero_filling.coverage_of`, where that is empty).
        scale: what the magnitudes are divided by, above 0; it is that unit.
        as_map: whether a level that may be even is given as a map, too.

    Returns:
        the measurement; None if there is too little tissue.
    """
    cells = _measure_cells(slices, filled, blocks.coverage, scale)
    if cells is None:
        return None
    bright = float(np.percentile(blocks.mean, 95))
    # the mean of the noise of many coils is several sigma, and it is not tissue
    least = max(_TISSUE * bright, min(2 * float(np.percentile(blocks.mean, 5)), 0.4 * bright))
    found = measure_levels(cells, least, as_map=as_map)
    if found is None:
        return None
    level = level_at(found, blocks.centres())
    inside = blocks.chosen(blocks.mean > np.maximum(least, 3 * level[tuple(blocks.place.T)]))
    return Tissue(blocks=blocks, inside=inside, found=found, level=level) if len(inside.mean) >= _FEW else None


def _measure_cells(
    slices: np.ndarray, filled: Sequence[float], coverage: tuple[float, float], scale: float
) -> Cells | None:
    """Let the network measure slices that are zero-filled alike along both axes.

    It knows no other: of slices with half of k-space along one axis it found half of the level. What one axis has more
    of zeros is cut off.
    """
    parts = [1.0 if part == 1 else min(part / other, 1.0) for part, other in zip(filled, coverage[::-1], strict=True)]
    if min(parts) > _ALIKE:
        return measure_cells(slices, scale)
    found = undo_zero_filling(slices, parts)
    cells = measure_cells(found, scale)
    if cells is None:
        return None
    first, second = (CELL * size / cut for size, cut in zip(slices.shape[:2], found.shape[:2], strict=True))
    return replace(cells, edges=(first, second))


def level_at(found: LevelMap, places: Sequence[np.ndarray]) -> np.ndarray:
    """Interpolate the level to a grid.

    Args:
        found: the level of the noise.
        places: of the grid along the three axes, in voxels.

    Returns:
        float32, of the shape of the grid.
    """
    if found.level.ndim == 0:
        return np.full([len(place) for place in places], found.level, dtype=np.float32)
    shape = found.level.shape
    centres = [edge * np.arange(count) + (edge - 1) / 2 for edge, count in zip(found.edges, shape, strict=False)]
    return interpolate_grid(found.level, (*centres, found.slices), places)


def raise_level(
    tissue: Tissue, simple: float, shape: Sequence[int], *, of_air: bool = False, signed: bool = False
) -> Tissue:
    """Raise the level of small slices, of which the network tells little, towards the simple estimate.

    In crops of heads whose noise is weak the network found 0.5 to 1 of the level, and expects a large error; the simple
    estimate was up to 3 times as high, by texture: their geometric mean is taken. Where the error is small, the simple
    estimate comes from the air, which has no texture, or the image is no magnitude, of which the network knows nothing,
    the simple estimate alone is taken.

    Args:
        tissue: the measurement.
        simple: sigma of :func:`~mri_denoise.noise.level.estimate_sigma`, in the unit of the slices.
        shape: of the slices.
        of_air: whether the simple estimate comes from the air.
        signed: whether the image is no magnitude.

    Returns:
        the measurement with the higher level, in doubt by as much. The simple estimate counts for no more than the
        network's expected error allows and, where that is large, the darkest blocks: noise alone is no darker. As it
        was if no edge of a slice is shorter than :data:`~mri_denoise.noise.cells.NARROW`, or if the level jumps from
        slice to slice, which the simple estimate does not know.
    """
    if min(shape[:2]) >= NARROW or tissue.found.jumps:
        return tissue
    most = min(simple, tissue.found.most)
    if tissue.found.error > _UNSURE and not signed:
        most = min(most, _DARKER * float(np.percentile(tissue.blocks.mean, 5)) / RAYLEIGH_MEAN)
    factor = most / float(np.median(tissue.found.inside))
    if factor <= 1:
        return tissue
    if not (signed or of_air):
        factor **= float(np.interp(tissue.found.error, _TRUSTED, (1.0, 0.5)))
    doubt = tissue.found.doubt + math.log(factor)
    found = replace(tissue.found, level=tissue.found.level * factor, doubt=doubt)
    return replace(tissue, found=found, level=tissue.level * np.float32(factor))


def is_air(tissue: Tissue, pure: float, *, cut_off: bool = False) -> bool:
    """Tell whether the level of the tissue is that of pure noise in the air.

    Magnitudes of a weak signal spread less than sigma. The network saw little of such tissue, and calls its level up to
    a fifth too low, and uneven.

    Args:
        tissue: the measurement in tissue.
        pure: sigma of the air, in the unit of the slices, if the air is Rician noise beyond doubt.
        cut_off: whether the brightness of some tissue was cut off, which leaves less tissue to tell the level.

    Returns:
        True if the level of the tissue is not clearly uneven, and differs from that of the air by no more than its
        expected error; in weak tissue it may be lower, and uneven. Also if it is higher, and little more than a guess
        or, far higher, even: that is texture, and too low a level does less harm than too high a one. Or lower and
        little more than a guess, if its brightness was cut off.
    """
    low, high = _WEAK
    weak = min(max((high - float(np.median(tissue.inside.mean)) / pure) / (high - low), 0.0), 1.0)
    limit = _AGREE[0] + _AGREE[1] * tissue.found.error
    departure = math.log(float(np.median(tissue.found.inside)) / pure)
    if (
        (departure > 0 or cut_off)
        and tissue.found.error > _UNSURE
        or departure > _TEXTURE
        and tissue.found.unevenness < _EVEN
    ):
        return True
    even = tissue.found.unevenness < _UNEVEN + (_UNEVEN_WEAK - _UNEVEN) * weak
    return even and -limit - _LOWER * weak < departure < limit
