"""Cutting a volume into small blocks and filtering it, as the estimates of noise need it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

_MAX_VOXELS = 3_000_000  # a larger volume is sampled in slabs: the estimate is no better with more
_CENTRAL = 24


@dataclass(frozen=True)
class Blocks:
    """Blocks of a volume; B blocks of V voxels on a grid.

    Args:
        values: (B, V) voxels.
        response: (B, V) high-pass response of the same voxels, with the standard deviation of white noise kept.
        activity: (B,) standard deviation of the means of the blocks' halves (quarters, eighths).
        position: (B, 2) place in the slice, 0 to 1 along each of its axes.
        usable: (B,) whether the block and its neighbours hold finite values that are not a constant fill.
        grid: how many blocks along each axis.
        edges: voxels of a block along each axis.
        offset: voxels before the first block along each axis.
    """

    values: np.ndarray
    response: np.ndarray
    activity: np.ndarray
    position: np.ndarray
    usable: np.ndarray
    grid: tuple[int, ...]
    edges: tuple[int, ...]
    offset: tuple[int, ...]


def measured(array: np.ndarray) -> tuple[float, np.ndarray]:
    """The largest finite magnitude, and which voxels are finite and not 0."""
    if array.ndim != 3:
        raise ValueError(f"a noise level is estimated from one volume of three axes, not from shape {array.shape}")
    live = np.isfinite(array)
    high, low = (float(extreme(array, where=live, initial=0)) for extreme in (np.max, np.min))
    live &= array != 0
    return max(high, -low), live


def normalised(data: np.ndarray, scale: float) -> np.ndarray:
    """Divided by a scale (by 1 where that is 0), as float32 with NaN for what is not finite."""
    return np.where(np.isfinite(data), data / np.float32(scale or 1), np.float32(np.nan))


def slabs(data: np.ndarray, live: np.ndarray) -> list[np.ndarray]:
    """Cut to what holds signal (``live``), and where that is large, to evenly spread slabs of 18 slices."""
    for i in range(3):
        index = np.flatnonzero(live.any(axis=tuple(k for k in range(3) if k != i)))
        keep = [slice(None)] * 3
        keep[i] = slice(index[0], index[-1] + 1) if index.size else slice(0)
        data, live = data[tuple(keep)], live[tuple(keep)]
    length, thickness = data.shape[2], 18
    count = max(1, round(_MAX_VOXELS / max(1, data[:, :, :thickness].size)))
    if count * thickness >= length:
        return [data]
    starts = np.linspace(0, length - thickness, count + 2)[1:-1].astype(int)
    return [data[:, :, start : start + thickness] for start in starts]


def central(slices: np.ndarray) -> np.ndarray:
    """The 24 slices in the middle: enough to see how slices were sampled, and next to no time."""
    first = max(slices.shape[2] // 2 - _CENTRAL // 2, 0)
    return slices[:, :, first : first + _CENTRAL]


def cut_blocks(data: np.ndarray) -> Blocks | None:
    """Cut a volume, slices last, into blocks of 6 x 6 x 2 voxels (fewer in small ones); None if it is too small."""
    axes = [i for i, least in enumerate((3, 3, 8)) if data.shape[i] >= least]
    if not axes or not data.size:
        return None
    fill = _constant_fill(data)
    if fill.any():
        data = np.where(fill, np.float32(np.nan), data)
    response = data
    for i in axes:
        # second differences, times 1/sqrt(1 + 4 + 1) so that white noise keeps its standard deviation
        filtered = np.float32(-2) * _shifted(response, i, 1)
        filtered += _shifted(response, i, 0)
        filtered += _shifted(response, i, 2)
        filtered *= np.float32(1 / math.sqrt(6))
        response = filtered
    edges, grid, offset = [], [], []
    for n, wanted in zip(response.shape, (6, 6, 2), strict=True):
        edges.append(min(wanted, n - n % 2) or 1)
        grid.append(n // edges[-1])
        offset.append((n - grid[-1] * edges[-1]) // 2)
    start = tuple(o + (i in axes) for i, o in enumerate(offset))
    values = _cut(data, start, tuple(grid), tuple(edges))
    response = _cut(response, tuple(offset), tuple(grid), tuple(edges))
    parts = [(2, e // 2) if e > 1 else (1, 1) for e in edges]
    # einsum, for reductions of short rows take several times as long
    halves = np.einsum("iajbkcl->iabc", values.reshape(-1, *(n for part in parts for n in part)))
    activity = halves.reshape(len(values), -1).std(axis=1) / np.float32(math.prod(n for _, n in parts))
    usable = np.isfinite(np.einsum("ij->i", response)) & np.isfinite(activity)
    index = np.stack(np.unravel_index(np.arange(len(values)), grid), axis=1)
    position = (index[:, :2] + 0.5) / np.array(grid[:2])
    return Blocks(values, response, activity, position, usable, tuple(grid), tuple(edges), start)


def _cut(data: np.ndarray, start: tuple[int, ...], grid: tuple[int, ...], edges: tuple[int, ...]) -> np.ndarray:
    """Blocks as rows, shape (blocks, voxels of a block)."""
    data = data[tuple(slice(s, s + g * e) for s, g, e in zip(start, grid, edges, strict=True))]
    data = data.reshape([n for pair in zip(grid, edges, strict=True) for n in pair])
    return data.transpose(0, 2, 4, 1, 3, 5).reshape(math.prod(grid), math.prod(edges))


def _constant_fill(data: np.ndarray) -> np.ndarray:
    """Voxels in a 3 x 3 x 3 window that is all minimum or all maximum: masks, padding and saturation, not noise."""
    fill = np.zeros(data.shape, dtype=bool)
    if not np.isfinite(data).any():
        return fill
    axes = [i for i in range(3) if data.shape[i] >= 3]
    for value in (np.nanmin(data), np.nanmax(data)):
        window = data == value
        if np.count_nonzero(window) < 3 ** len(axes):
            continue
        for i in axes:
            window = _shifted(window, i, 0) & _shifted(window, i, 1) & _shifted(window, i, 2)
        for i in axes:
            window = np.pad(window, [(2, 2) if k == i else (0, 0) for k in range(3)])
            window = _shifted(window, i, 0) | _shifted(window, i, 1) | _shifted(window, i, 2)
        fill |= window
    return fill


def _shifted(data: np.ndarray, axis: int, start: int) -> np.ndarray:
    """Window of the length minus 2 along one axis."""
    return data[tuple(slice(start, data.shape[k] - 2 + start) if k == axis else slice(None) for k in range(3))]


def interpolated(blocks: np.ndarray, axis: int, length: int, offset: int, edge: int) -> np.ndarray:
    """Linear interpolation along one axis from the centres of blocks to voxels, constant past the last centres."""
    position = np.clip((np.arange(length) - offset - (edge - 1) / 2) / edge, 0, blocks.shape[axis] - 1)
    lower = np.minimum(position.astype(int), max(blocks.shape[axis] - 2, 0))
    upper = np.minimum(lower + 1, blocks.shape[axis] - 1)
    shape = [1, 1, 1]
    shape[axis] = length
    weight = (position - lower).reshape(shape)
    return np.take(blocks, lower, axis) * (1 - weight) + np.take(blocks, upper, axis) * weight
