"""The noise of one volume, found and not assumed: its level in tissue, its floor, its correlation, and how sure each is.

Level: from the fine detail of tissue (:mod:`mri_denoise.noise.tissue`), which is never more than the noise and the least
texture there is; and from the air where the air is pure noise. Where both agree, the air decides, which is exact. Where
tissue reads more, it is noisier (parallel imaging, intensity correction) if its blocks agree among themselves, and
textured if they do not; then the air is believed. Floor: :mod:`mri_denoise.noise.floor`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mri_denoise.noise.blocks import central, interpolated, measured, normalised
from mri_denoise.noise.correlation import REACH, noise_correlation
from mri_denoise.noise.detail import DetailBlocks, cut_detail
from mri_denoise.noise.floor import Floor, FloorKind, dark_level, find_floor
from mri_denoise.noise.level import estimate_sigma
from mri_denoise.noise.spectrum import correlation_spectrum, noise_spectrum, spectrum_correlation
from mri_denoise.noise.tissue import Edge, global_edge, level_map, whitened_variance
from mri_denoise.noise.zero_filling import measured_bands

_TISSUE = 0.15  # of the bright blocks' mean: blocks above hold tissue
_DEPTH_VOXELS = 3_000_000  # of the slices that depth is looked at in
_FEW = 100  # blocks of tissue, below which there is no map
_UNEVEN = 1.15  # the map's 98th by its 2nd percentile in tissue, below which it is even
_AGREE = (0.8, 1.25)  # level in tissue by that of the air
_SHARP = 1.08  # breadth of the variances in tissue of noise alone
# breadths from none to full trust in depth, in air that is pure noise, and in air that looks like noise
_REPEATS, _PURE, _TEXTURED = (1.08, 1.32), (1.1, 1.3), (1.2, 1.45)


@dataclass(frozen=True, kw_only=True)
class Confidence:
    """How sure each part of a :class:`NoiseModel` is, from 0 (a guess) to 1.

    Args:
        level: of ``sigma``.
        floor: of ``floor``.
        correlation: of ``correlation``.
    """

    level: float
    floor: float
    correlation: float


@dataclass(frozen=True, kw_only=True)
class NoiseModel:
    """Noise of one volume.

    Args:
        sigma: standard deviation of the noise in tissue, in the volume's unit: a number (shape ()) where it is even,
            otherwise a map of the volume's shape. 0 where nothing can be measured.
        floor: kind of the floor (:class:`~mri_denoise.noise.floor.Floor`).
        floor_share: sigma of the Rician law that explains the mean of no signal, by ``sigma``: 0 to 1, a number or a map.
        coils: channels of the noncentral chi law; 1 but for the floor ``"chi"``.
        correlation: of the noise with its neighbours along each axis, shape (3, lags), each row from 1 at lag 0.
        confidence: of each of them.
        source: what told the level: ``"air"``, ``"tissue"``, ``"air and tissue"`` where textured tissue reads more than
            the air, or ``"none"``.
    """

    sigma: np.ndarray
    floor: FloorKind
    floor_share: np.ndarray
    coils: float
    correlation: np.ndarray
    confidence: Confidence
    source: str

    @property
    def level(self) -> float:
        """One number for ``sigma``: its median."""
        return float(np.median(self.sigma))


@dataclass(frozen=True, kw_only=True)
class _Tissue:
    """What the tissue of a volume tells; its unit is that of the slices."""

    blocks: DetailBlocks
    inside: DetailBlocks
    edge: Edge
    level: np.ndarray
    spectrum: np.ndarray


def find_noise(volume: np.ndarray, *, slice_axis: int | None = None) -> NoiseModel:
    """Find the noise of a volume.

    Args:
        volume: magnitudes, shape (X, Y, Z), any unit; NaN, infinity and masks are ignored.
        slice_axis: the axis across slices; the shortest one where it is not known.

    Returns:
        the model.

    Raises:
        ValueError: the array does not have three axes.

    Examples:
        >>> clean = np.zeros((64, 64, 12)); clean[16:48, 16:48] = 500
        >>> real, imaginary = np.random.default_rng(0).normal(0, 20, (2, 64, 64, 12))
        >>> model = find_noise(np.hypot(clean + real, imaginary))
        >>> model.floor, round(model.level)
        ('rician', 20)
    """
    data = np.asarray(volume, dtype=np.float32)
    scale, live = measured(data)
    axis = int(np.argmin(data.shape)) if slice_axis is None else slice_axis
    slices = np.moveaxis(normalised(data, scale), axis, 2)
    bands = measured_bands(central(slices))
    simple = estimate_sigma(data, slice_axis=axis)
    correlation = noise_correlation(data[None], axis)
    rows = np.delete(correlation, axis, axis=0)
    known = rows if simple.method == "background" and correlation[:, 1:].any() else None
    tissue = _measure_tissue(slices, bands, known)
    if tissue is None or simple.sigma == 0:
        sure = 0.5 if simple.sigma else 0.0
        return NoiseModel(
            sigma=np.array(simple.sigma, dtype=np.float32),
            floor="unknown",
            floor_share=np.array(1, dtype=np.float32),
            coils=1.0,
            correlation=correlation,
            confidence=Confidence(level=sure, floor=0.0, correlation=sure),
            source=simple.method.replace("background", "air").replace("foreground", "tissue"),
        )
    strict = simple.sigma / scale if simple.method == "background" else None
    masked = 1 - float(np.mean(live)) > 0.1
    factor, source = _with_air(tissue, strict)
    floor = find_floor(tissue.blocks, tissue.level * factor, masked)
    for _ in range(2 if floor.coils > 1 else 0):  # the noise of many coils is less than sigma at low signal
        again = _measure_tissue(slices, bands, known, floor.coils)
        tissue, factor, source = again or tissue, 1.0, "tissue"
        floor = find_floor(tissue.blocks, tissue.level, masked)
    level = tissue.level * factor
    within = level[tuple(tissue.inside.place.T)]
    if _even(within):
        sigma = np.array(scale * (strict if source == "air" else float(np.median(within))), dtype=np.float32)
    else:
        sigma = np.float32(scale) * _at_voxels(level, tissue.blocks, slices.shape, axis)
    share = floor.share.astype(np.float32)
    if share.ndim:
        share = _at_voxels(share, tissue.blocks, slices.shape, axis)
    return NoiseModel(
        sigma=sigma,
        floor=floor.kind,
        floor_share=share,
        coils=floor.coils,
        correlation=correlation if source == "air" else _with_tissue(correlation, tissue.spectrum, axis),
        confidence=_confidence(tissue, floor, source),
        source=source,
    )


def _measure_tissue(
    slices: np.ndarray, bands: tuple[float, float], rows: np.ndarray | None, coils: float = 1.0
) -> _Tissue | None:
    """Level, its map and its spectrum; None where there is too little tissue.

    Args:
        slices: shape (X, Y, slices).
        bands: share of k-space that was measured along the two axes of a slice.
        rows: correlation of the noise along these axes where the air tells it.
        coils: channels of the noncentral chi law; 1 is Rice's.
    """
    blocks = cut_detail(slices, bands)
    if blocks is None:
        return None
    bright = float(np.percentile(blocks.mean, 95))
    # the mean of the noise of many coils is several sigma, and it is not tissue
    least = max(_TISSUE * bright, min(2 * float(np.percentile(blocks.mean, 5)), 0.4 * bright))
    inside, level = blocks.chosen(blocks.mean > max(2 * _TISSUE * bright, least)), 0.0
    for _ in range(2):
        if len(inside.mean) < _FEW:
            return None
        spectrum = noise_spectrum(inside) if rows is None else correlation_spectrum(rows, blocks)
        variance, freedom = whitened_variance(inside, spectrum, level, coils)
        edge = global_edge(variance, freedom)
        level = float(edge.level)
        if not level > 0:
            return None
        chosen = inside
        inside = blocks.chosen(blocks.mean > max(least, 3 * level))
    local = level_map(chosen, variance, freedom, edge)
    evened = global_edge(variance / np.square(local[tuple(chosen.place.T)] / level), freedom)
    local *= float(evened.level) / level
    doubt = _doubt(evened, _REPEATS)
    if doubt > 0:
        local *= _share_in_depth(slices, bands, spectrum, least) ** doubt
    return _Tissue(blocks=blocks, inside=chosen, edge=evened, level=local, spectrum=spectrum)


def _doubt(edge: Edge, limits: tuple[float, float]) -> float:
    """From 0, where blocks agree as noise does, to 1, where there is texture in all of them."""
    return min(max((float(edge.breadth) - limits[0]) / (limits[1] - limits[0]), 0.0), 1.0)


def _share_in_depth(
    slices: np.ndarray, bands: tuple[float, float], spectrum: np.ndarray, least: float
) -> float:
    """Level of the difference of neighbouring slices by that of the slices: below 1 where detail repeats in depth.

    Args:
        slices: shape (X, Y, slices).
        bands: share of k-space that was measured along the two axes of a slice.
        spectrum: of the noise.
        least: mean of a block of tissue.
    """
    middle = central(slices)
    middle = middle[..., : max(2, _DEPTH_VOXELS // max(middle[..., 0].size, 1))]
    one = cut_detail(middle, bands)
    both = cut_detail((middle[..., 1:] - middle[..., :-1]) * np.float32(math.sqrt(0.5)), bands)
    if one is None or both is None:
        return 1.0
    mean = np.zeros((*one.grid[:2], middle.shape[2]), dtype=np.float32)
    mean[tuple(one.place.T)] = one.mean
    tissue = np.minimum(mean[..., 1:], mean[..., :-1]) > least
    across = both.chosen(tissue[tuple(both.place.T)])
    within = one.chosen(tissue[(*one.place.T[:2], np.minimum(one.place[:, 2], tissue.shape[2] - 1))])
    levels = [float(global_edge(*whitened_variance(part, spectrum, 0.0)).level) for part in (across, within)]
    return min(levels[0] / levels[1], 1.0) if min(levels) > 0 else 1.0


def _with_air(tissue: _Tissue, strict: float | None) -> tuple[float, str]:
    """By how much to scale the level in tissue for the air's sake, and what told the level.

    Args:
        tissue: what it tells.
        strict: sigma of the air where that is pure Rician noise beyond doubt.
    """
    places = tuple(tissue.inside.place.T)
    within, even = float(np.median(tissue.level[places])), _even(tissue.level[places])
    air = strict if strict is not None else dark_level(tissue.blocks, tissue.level)
    if air is None:
        return 1.0, "tissue"
    if strict is not None and (even and within < 2 * air or _AGREE[0] < within / air < _AGREE[1]):
        return air / within, "air"  # detail that is stronger in all tissue alike is texture
    if within <= air:
        return 1.0, "tissue"
    doubt = _doubt(tissue.edge, _TEXTURED if strict is None else _PURE)
    return (air / within) ** doubt, "air and tissue" if doubt > 0 else "tissue"


def _even(levels: np.ndarray) -> bool:
    """Whether levels in tissue differ by no more than chance."""
    low, high = np.percentile(levels, [2, 98])
    return bool(high < _UNEVEN * low)


def _with_tissue(correlation: np.ndarray, spectrum: np.ndarray, slice_axis: int) -> np.ndarray:
    """The correlation that air or k-space told; where neither did, that of the spectrum in tissue."""
    if correlation[:, 1:].any() or np.ptp(spectrum) == 0:
        return correlation
    found = correlation.copy()
    in_plane = [axis for axis in range(3) if axis != slice_axis]
    found[in_plane] = spectrum_correlation(spectrum, REACH)
    return found


def _at_voxels(values: np.ndarray, blocks: DetailBlocks, shape: tuple[int, ...], slice_axis: int) -> np.ndarray:
    """From the grid of blocks to voxels, with the slices back on their axis; float32."""
    for axis in range(2):
        values = interpolated(values, axis, shape[axis], blocks.offset[axis], blocks.edges[axis])
    place = np.interp(np.arange(shape[2]), blocks.slices, np.arange(len(blocks.slices)))
    lower = np.minimum(place.astype(int), max(len(blocks.slices) - 2, 0))
    upper = np.minimum(lower + 1, len(blocks.slices) - 1)
    weight = (place - lower).astype(np.float32)
    values = values.astype(np.float32)
    values = values[..., lower] * (1 - weight) + values[..., upper] * weight
    return np.moveaxis(values, 2, slice_axis)


def _confidence(tissue: _Tissue, floor: Floor, source: str) -> Confidence:
    """From how many blocks tell, and how well they agree."""
    breadth = float(tissue.edge.breadth)
    level = 0.95 if source == "air" else math.exp(-4 * max(breadth - _SHARP, 0)) * min(len(tissue.inside.mean) / 500, 1)
    seen = floor.blocks / (floor.blocks + 200)
    return Confidence(
        level=round(level, 2), floor=round(seen, 2), correlation=round(level if source == "air" else level / 2, 2)
    )
