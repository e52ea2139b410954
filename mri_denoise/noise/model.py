"""Find the noise of a volume: its level in tissue, floor and correlation, with the confidence in each of them.

The level comes from the tissue, by a network, and from the air if that is pure noise and the tissue agrees
(:mod:`mri_denoise.noise.evidence`). The floor comes from the darkest blocks (:mod:`mri_denoise.noise.floor`), and
the correlation from the air, the k-space coverage or the tissue (:mod:`mri_denoise.noise.correlation`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from mri_denoise.median_level import median_level
from mri_denoise.noise.blocks import find_signal, interpolate_grid, middle_slices, normalise
from mri_denoise.noise.correlation import MAX_LAG, noise_correlation
from mri_denoise.noise.detail import DetailBlocks, cut_detail
from mri_denoise.noise.drawn import is_drawn
from mri_denoise.noise.evidence import Source, Tissue, is_air, level_at, measure_tissue, raise_level
from mri_denoise.noise.floor import Floor, FloorKind, find_floor
from mri_denoise.noise.level import NoiseLevel, estimate_sigma
from mri_denoise.noise.saturated import without_saturated
from mri_denoise.noise.spectrum import noise_spectrum, spectrum_correlation
from mri_denoise.noise.zero_filling import Edge, coverage_of, find_edges
from mri_denoise.noise.zero_level import ZeroLevel, find_zero
from mri_denoise.threads import run_together

_GUESS = 0.4  # confidence in a level without tissue, below that of an uncertain one
_MASKED = 0.1  # fraction of voxels that are 0 or not finite, above which an image counts as masked


@dataclass(frozen=True, kw_only=True)
class Confidence:
    """The confidence in each part of a :class:`NoiseModel`, from 0 (a guess) to 1.

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
        sigma: standard deviation of the noise in tissue, in the volume's unit: float32, a number (shape ()) if it is
            even, otherwise a map of the volume's shape; 0 if nothing can be measured.
        snr: root mean square of the noise-free foreground signal, divided by the level; infinite if that is 0.
        floor: kind of the floor (:class:`~mri_denoise.noise.floor.Floor`).
        floor_ratio: the sigma that explains the floor by Rice's distribution, divided by ``sigma``: 0 to 1, a number or
            a map; 1 for Rice's and the non-central chi distribution, less than 1 for a floor that cannot be seen.
        coils: channels of the non-central chi distribution; 1 except for the floor ``"chi"``.
        correlation: of the noise with its neighbours along each axis, shape (3, lags), each row from 1 at lag 0.
        confidence: in each of them.
        source: of the level: ``"air"``, ``"tissue"`` or ``"none"``.
        zero: the value that the magnitudes count from.
    """

    sigma: np.ndarray
    snr: float
    floor: FloorKind
    floor_ratio: np.ndarray
    coils: float
    correlation: np.ndarray
    confidence: Confidence
    source: Source
    zero: ZeroLevel = ZeroLevel()

    @property
    def level(self) -> float:
        """The lower median of ``sigma`` where it is above 0."""
        return median_level(self.sigma)

    @property
    def variation(self) -> float:
        """Its 95th percentile divided by the 5th, 1 if sigma is one number."""
        low, high = np.percentile(self.sigma, [5, 95])
        return float(high / low) if low > 0 else 1.0


def find_noise(
    volume: np.ndarray,
    *,
    slice_axis: int | None = None,
    simple: NoiseLevel | None = None,
    correlation: np.ndarray | None = None,
    zero: ZeroLevel | None = None,
    as_map: bool = False,
    source: Source | None = None,
) -> NoiseModel:
    """Find the noise of a volume.

    Args:
        volume: magnitudes, shape (X, Y, Z), any unit; NaN, infinity and masks are ignored.
        slice_axis: the axis across the slices; the shortest one by default.
        simple: the simple estimate, if a series tells it better than the volume alone
            (:func:`~mri_denoise.noise.level.estimate_sigma` by default).
        correlation: of the noise in air or by k-space, if a series tells it better
            (:func:`~mri_denoise.noise.correlation.noise_correlation` by default).
        zero: the value that the magnitudes count from (:func:`~mri_denoise.noise.zero_level.find_zero` by default).
        as_map: whether the level is a map of the tissue in any case, even and beside air that tells it exactly.
        source: ``"air"`` or ``"tissue"``, if a series tells it better than the volume alone which of the two is the
            level: air only if it is pure noise.

    Returns:
        the model. If there are too few blocks of tissue, it has one number for the level
        (:func:`~mri_denoise.noise.level.estimate_sigma`) and an unknown floor.

    Raises:
        ValueError: if the array does not have three axes.

    Examples:
        >>> clean = np.zeros((64, 64, 12))
        >>> clean[16:48, 16:48] = 500
        >>> real, imaginary = np.random.default_rng(0).normal(0, 20, (2, 64, 64, 12))
        >>> model = find_noise(np.hypot(clean + real, imaginary))
        >>> model.floor, round(model.level)
        ('rician', 20)
    """
    zero = find_zero(volume) if zero is None else zero
    data = zero.measurable(np.asarray(volume, dtype=np.float32))
    axis = int(np.argmin(data.shape)) if slice_axis is None else slice_axis
    given = _Given(simple=simple, correlation=correlation, as_map=as_map, source=source, signed=zero.signed)
    model = _find(data, axis, given)
    if not zero.signed:
        return replace(model, zero=zero)
    one = np.array(1, dtype=np.float32)
    return replace(model, zero=zero, floor="none", floor_ratio=one, snr=_signed_snr(volume, zero, model.level))


@dataclass(frozen=True, kw_only=True)
class _Given:
    """What the caller of :func:`find_noise` knows or wants."""

    simple: NoiseLevel | None
    correlation: np.ndarray | None
    as_map: bool
    source: Source | None
    signed: bool


def _find(data: np.ndarray, axis: int, given: _Given) -> NoiseModel:
    """The model of a volume that counts from 0."""
    largest, mask = find_signal(data)
    masked = 1 - float(np.mean(mask)) > _MASKED
    del mask
    scale = largest or 1.0
    whole = np.moveaxis(data, axis, 2)
    slices = without_saturated(whole)
    simple, correlation, tissue = _measure(slices, scale, axis, given)
    if tissue is None:
        return _plain(simple, correlation)
    source = _source(tissue, simple, scale, given, cut_off=slices is not whole)
    places = np.arange(slices.shape[0]), np.arange(slices.shape[1]), np.arange(slices.shape[2])
    if source == "air":
        sigma = np.array(simple.sigma, dtype=np.float32)
        floor = find_floor(tissue.blocks, np.full_like(tissue.level, simple.sigma / scale), masked, 0.0)
    else:
        found = tissue.found
        sigma = np.array(scale * found.level, dtype=np.float32)
        if found.level.ndim:
            sigma = np.moveaxis(np.float32(scale) * level_at(found, places), 2, axis)
        floor = find_floor(tissue.blocks, tissue.level, masked, found.error)
        correlation = _with_tissue(correlation, tissue, axis)
    ratio = floor.ratio.astype(np.float32)
    if ratio.ndim:
        ratio = np.moveaxis(interpolate_grid(ratio, tissue.blocks.centres(), places), 2, axis)
    return NoiseModel(
        sigma=sigma,
        snr=simple.snr * simple.sigma / max(float(np.median(sigma)), 1e-30),
        floor=floor.kind,
        floor_ratio=ratio,
        coils=floor.coils,
        correlation=correlation,
        confidence=_confidence(tissue, floor, source),
        source=source,
    )


def _measure(
    slices: np.ndarray, scale: float, axis: int, given: _Given
) -> tuple[NoiseLevel, np.ndarray, Tissue | None]:
    """The simple estimate, the correlation of the noise in air or by k-space, and the noise in tissue."""
    data, middle = np.moveaxis(slices, 2, axis), normalise(middle_slices(slices, 2), scale)
    known = NoiseLevel(sigma=0.0, snr=math.inf, method="none") if is_drawn(middle) else given.simple

    def of_air() -> tuple[NoiseLevel, np.ndarray]:
        level = known or estimate_sigma(data, slice_axis=axis)
        found = noise_correlation(data[None], axis, [level]) if given.correlation is None else given.correlation
        return level, found

    def of_detail() -> tuple[tuple[Edge, Edge], DetailBlocks | None]:
        edges = find_edges(middle)
        return edges, cut_detail(slices, coverage_of(edges), scale)

    # neither needs the other
    (simple, correlation), (edges, blocks) = run_together(of_air, of_detail)
    if not simple.sigma > 0 or blocks is None:
        return simple, correlation, None
    filled = coverage_of(edges, empty=True)
    tissue = measure_tissue(slices, blocks, filled=filled, scale=scale, as_map=given.as_map)
    if tissue is not None:
        of_background = simple.method == "background"
        tissue = raise_level(tissue, simple.sigma / scale, slices.shape, of_air=of_background, signed=given.signed)
    return simple, correlation, tissue


def _source(tissue: Tissue, simple: NoiseLevel, scale: float, given: _Given, *, cut_off: bool) -> Source:
    """Whether air or tissue tells the level. The air is that of all slices: it says nothing of a level that jumps."""
    if simple.method != "background" or given.as_map or tissue.found.jumps:
        return "tissue"
    return given.source or ("air" if is_air(tissue, simple.sigma / scale, cut_off=cut_off) else "tissue")


def _signed_snr(volume: np.ndarray, zero: ZeroLevel, level: float) -> float:
    """Root mean square of the voxels that hold an image, without that of the noise, divided by the level."""
    inside = np.isfinite(volume)
    if zero.fill is not None:
        inside &= volume != np.float32(zero.fill)
    power = float(np.mean(np.square(volume, dtype=np.float64), where=inside)) if inside.any() else 0.0
    return math.sqrt(max(power - level**2, 0.0)) / level if level > 0 else math.inf


def _plain(simple: NoiseLevel, correlation: np.ndarray) -> NoiseModel:
    """The model if there is too little tissue: Rice's distribution is assumed."""
    sources: dict[str, Source] = {"background": "air", "foreground": "tissue"}
    sure = _GUESS if simple.sigma > 0 else 0.0
    return NoiseModel(
        sigma=np.array(simple.sigma, dtype=np.float32),
        snr=simple.snr,
        floor="unknown",
        floor_ratio=np.array(1, dtype=np.float32),
        coils=1.0,
        correlation=correlation,
        confidence=Confidence(level=sure, floor=0.0, correlation=sure),
        source=sources.get(simple.method, "none"),
    )


def _with_tissue(correlation: np.ndarray, tissue: Tissue, slice_axis: int) -> np.ndarray:
    """The correlation from air or k-space; if neither shows one, that of the noise in tissue."""
    if correlation[:, 1:].any():
        return correlation
    spectrum = noise_spectrum(tissue.inside)
    if np.ptp(spectrum) == 0:
        return correlation
    found = correlation.copy()
    found[[axis for axis in range(3) if axis != slice_axis]] = spectrum_correlation(spectrum, MAX_LAG)
    return found


def _confidence(tissue: Tissue, floor: Floor, source: Source) -> Confidence:
    """The confidence, from the expected error, what the level was moved by, and the number of blocks."""
    level = 0.95 if source == "air" else math.exp(-2 * (tissue.found.error + tissue.found.doubt))
    return Confidence(
        level=round(level, 2),
        floor=round(floor.blocks / (floor.blocks + 200), 2),
        correlation=round(level if source == "air" else level / 2, 2),
    )
