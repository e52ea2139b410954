"""Volumes in an HTML page: 8 bits a voxel, gzip, base64; what is too large is cropped and thinned out."""

from __future__ import annotations

import base64
import gzip
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

BUDGET = 10_000_000  # bytes of gzip: base64 makes 13.3 MB of them, and the 3D viewer takes 1.1 MB
_STEPS = 31  # of what was removed, to each side of 0
_SPAN = 5.0  # standard deviations that they span
_MARGIN = 6  # voxels around the tissue
_LEVEL = 6  # of gzip
_SAMPLE = 12  # slices by which the size is estimated

_Arrays: TypeAlias = "tuple[np.ndarray, np.ndarray, np.ndarray | None]"


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """Volumes as a page holds them.

    Args:
        meta: what the page's script needs to read them.
        after: base64 of gzip of uint8: differences of neighbours along the first axis, modulo 256.
        removed: base64 of gzip of uint8, 32 for nothing.
        noise: of the noise map, as ``after``; empty if there is none.
        note: what was left out, in words; empty if nothing was.
    """

    meta: dict[str, Any]
    after: str
    removed: str
    noise: str
    note: str

    @property
    def size(self) -> int:
        """Bytes of gzip."""
        return sum(len(text) * 3 // 4 for text in (self.after, self.removed, self.noise))


def embed(
    before: np.ndarray,
    after: np.ndarray,
    tissue: np.ndarray,
    noise_map: np.ndarray | None,
    *,
    scale: float,
    budget: int = BUDGET,
) -> Embedded:
    """Pack volumes for a page. The input is not packed: it is the result plus what was removed.

    Args:
        before: the input, float32 (X, Y, Z), finite.
        after: the result.
        tissue: boolean, same shape: what must stay if the page would be too large.
        noise_map: sigma at each voxel, same shape.
        scale: standard deviation of the noise, above 0: what was removed is kept up to 5 times of it.
        budget: bytes of gzip in all.
    """
    arrays = (before, after, noise_map)
    box: tuple[slice, ...] = tuple(slice(0, n) for n in before.shape)
    steps, notes = (1, 1, 1), []
    if _estimate(arrays, scale) > budget:
        box = _box(tissue)
        notes.append("the air around the head is cropped")
    arrays = _cut(arrays, box)
    factor = _estimate(arrays, scale) / budget
    if factor > 1:
        steps = _thin(arrays[0].shape, factor)
    packed = _pack(*_cut(arrays, _every(steps)), scale=scale)
    while packed.size > budget:
        steps = _thin(arrays[0].shape, 1.001 * math.prod(steps))
        packed = _pack(*_cut(arrays, _every(steps)), scale=scale)
    if steps != (1, 1, 1):
        notes.append(f"of {' x '.join(map(str, steps))} voxels one is shown")
    packed.meta["origin"] = [s.start for s in box]
    packed.meta["step"] = list(steps)
    note = f"To keep this page small, {' and '.join(notes)}. All numbers are of the full image." if notes else ""
    return _embedded(packed, note)


def embed_later(
    first: Embedded, volumes: Mapping[int, _Arrays], *, scale: float, budget: int = BUDGET
) -> dict[int, Embedded]:
    """Pack later volumes of a series, as many as fit: the last one, then that in the middle, then the others.

    Args:
        first: the first volume; if it had to be cropped or thinned out, no other fits.
        volumes: before, after and noise map (or None) by their number.
        scale: as in :func:`embed`, for all volumes.
        budget: bytes of gzip in all, the first volume included.

    Returns:
        those that fit by their number, in order.
    """
    numbers = sorted(volumes)
    if first.note or not numbers:
        return {}
    left, found = budget - first.size, {}
    for number in dict.fromkeys([numbers[-1], numbers[(len(numbers) - 1) // 2], *numbers]):
        packed = _pack(*volumes[number], scale=scale)
        left -= packed.size
        if left < 0:
            break
        found[number] = _embedded(packed, "")
    return dict(sorted(found.items()))


def _embedded(packed: _Packed, note: str) -> Embedded:
    after, removed, noise = (base64.b64encode(data).decode() for data in packed.parts)
    return Embedded(meta=packed.meta, after=after, removed=removed, noise=noise, note=note)


def _estimate(arrays: _Arrays, scale: float) -> float:
    """The size of volumes, from some of their slices."""
    count = arrays[0].shape[2]
    step = max(count // _SAMPLE, 1)
    return _pack(*_cut(arrays, _every((1, 1, step))), scale=scale).size * count / math.ceil(count / step)


def _every(steps: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(None, None, step) for step in steps)


@dataclass
class _Packed:
    meta: dict[str, Any]
    parts: tuple[bytes, bytes, bytes]

    @property
    def size(self) -> int:
        return sum(map(len, self.parts))


def _pack(before: np.ndarray, after: np.ndarray, noise_map: np.ndarray | None, *, scale: float) -> _Packed:
    low = min(0.0, float(np.percentile(before, 0.1)))
    high = float(np.percentile(before, 99.95))
    high = high if high > low else low + 1.0
    white = (float(np.percentile(before, 99.5)) - low) / (high - low)
    span = _SPAN * scale
    removed = np.rint((before - after) * np.float32(_STEPS / span)).clip(-_STEPS, _STEPS) + _STEPS + 1
    meta: dict[str, Any] = {
        "shape": list(after.shape),
        "low": low,
        "high": high,
        "white": min(max(white, 0.05), 1.0),
        "span": span,
        "steps": _STEPS,
    }
    noise = b""
    if noise_map is not None:
        meta["noiseLow"], meta["noiseHigh"] = float(noise_map.min()), float(noise_map.max())
        noise = _gzip(_differences(_bytes(noise_map, meta["noiseLow"], meta["noiseHigh"])))
    return _Packed(meta, (_gzip(_differences(_bytes(after, low, high))), _gzip(removed.astype(np.uint8)), noise))


def _bytes(array: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.rint((array - np.float32(low)) * np.float32(255 / ((high - low) or 1))).clip(0, 255).astype(np.uint8)


def _differences(array: np.ndarray) -> np.ndarray:
    """To the voxel before along the first axis, modulo 256: smaller numbers, which pack better."""
    result = array.copy()
    result[1:] -= array[:-1]
    return result


def _gzip(array: np.ndarray) -> bytes:
    """The first axis runs fastest; no time stamp, so that the same input gives the same bits."""
    return gzip.compress(array.tobytes(order="F"), _LEVEL, mtime=0)


def _box(tissue: np.ndarray) -> tuple[slice, ...]:
    box = []
    for axis in range(3):
        places = np.flatnonzero(tissue.any(axis=tuple(k for k in range(3) if k != axis)))
        box.append(slice(max(int(places[0]) - _MARGIN, 0), min(int(places[-1]) + 1 + _MARGIN, tissue.shape[axis])))
    return tuple(box)


def _cut(arrays: _Arrays, box: tuple[slice, ...]) -> _Arrays:
    before, after, noise_map = arrays
    return before[box], after[box], None if noise_map is None else noise_map[box]


def _thin(shape: Sequence[int], factor: float) -> tuple[int, int, int]:
    """Steps along the axes that leave less than one voxel in ``factor``, the longest axes first."""
    steps = [1, 1, 1]
    while math.prod(steps) < factor:
        left = [n / step for n, step in zip(shape, steps, strict=True)]
        steps[int(np.argmax(left))] += 1
    return steps[0], steps[1], steps[2]
