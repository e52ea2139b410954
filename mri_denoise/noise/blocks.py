"""Cut a volume into small blocks and filter it, as the estimates of noise need it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_MAX_VOXELS = 3_000_000  # a larger volume is sampled in slabs: more voxels do not improve the estimate
_SLAB = 18  # slices
_MIDDLE, _WIDEST = 24, 2048  # slices, and voxels along an axis of a slice
_SERIES = 8  # volumes


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """Blocks of a volume: B blocks of V voxels on a grid.

    Args:
        values: (B, V) voxels.
        response: (B, V) high-pass response of the same voxels, scaled so that white noise keeps its standard deviation.
        activity: (B,) standard deviation of the means of the block's halves (quarters, eighths).
        position: (B, 2) place in the slice, 0 to 1 along each of its axes.
        usable: (B,) whether the block and its neighbours hold finite values that are not a constant fill.
        grid: number of blocks along each axis.
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


def find_signal(array: np.ndarray) -> tuple[float, np.ndarray]:
    """Find the largest finite magnitude, and the voxels that are finite and not 0.

    Args:
        array: shape (X, Y, Z).

    Returns:
        the magnitude, 0 if there is none, and a boolean mask of the same shape.

    Raises:
        ValueError: if the array does not have three axes.
    """
    if array.ndim != 3:
        raise ValueError(f"a noise level is estimated from one volume of three axes, not from shape {array.shape}")
    mask = np.isfinite(array)
    high, low = (float(extreme(array, where=mask, initial=0)) for extreme in (np.max, np.min))
    mask &= array != 0
    return max(high, -low), mask


def normalise(data: np.ndarray, scale: float) -> np.ndarray:
    """Divide by a scale (by 1 if it is 0).

    Args:
        data: any shape.
        scale: 0 or more.

    Returns:
        float32, the same shape, NaN where the data are not finite.
    """
    return np.where(np.isfinite(data), data / np.float32(scale or 1), np.float32(np.nan))


def sample_slabs(data: np.ndarray, mask: np.ndarray) -> list[np.ndarray]:
    """Cut a volume to the box that holds signal, and a large box to evenly spread slabs of 18 slices.

    Of slabs whose slices are very large, nine tiles are taken: the corners, the middles of the edges, and the centre.

    Args:
        data: shape (X, Y, slices).
        mask: boolean, the same shape: where there is signal.

    Returns:
        views of the data, together about 3 million voxels at most.
    """
    for i in range(3):
        index = np.flatnonzero(mask.any(axis=tuple(k for k in range(3) if k != i)))
        keep = [slice(None)] * 3
        keep[i] = slice(index[0], index[-1] + 1) if index.size else slice(0)
        data, mask = data[tuple(keep)], mask[tuple(keep)]
    length = data.shape[2]
    count = max(1, round(_MAX_VOXELS / max(1, data[:, :, :_SLAB].size)))
    if count * _SLAB >= length:
        return _tiles(data)
    starts = np.linspace(0, length - _SLAB, count + 2)[1:-1].astype(int)
    return [tile for start in starts for tile in _tiles(data[:, :, start : start + _SLAB])]


def _tiles(slab: np.ndarray) -> list[np.ndarray]:
    """The slab itself, or nine tiles of one whose slices are very large."""
    if math.prod(slab.shape[:2]) <= _MAX_VOXELS:
        return [slab]
    edge = int(math.sqrt(_MAX_VOXELS / 9 / slab.shape[2]))
    starts = [sorted({0, (length - edge) // 2, length - edge} if length > edge else {0}) for length in slab.shape[:2]]
    return [slab[row : row + edge, column : column + edge] for row in starts[0] for column in starts[1]]


def sample_series(count: int) -> list[int]:
    """Choose up to eight volumes of a series, evenly spread: enough to see how all of them were sampled.

    Args:
        count: volumes of the series, 1 or more.

    Returns:
        their numbers, in rising order.
    """
    return np.linspace(0, count - 1, min(count, _SERIES)).astype(int).tolist()


def middle_slices(volume: np.ndarray, slice_axis: int) -> np.ndarray:
    """Take the 24 slices in the middle, and of very large ones the middle: enough to see how slices were sampled.

    Args:
        volume: shape (X, Y, Z).
        slice_axis: the axis across the slices.

    Returns:
        float32, shape (rows, columns, slices).
    """
    slices = np.moveaxis(np.asarray(volume, dtype=np.float32), slice_axis, 2)
    most = (_WIDEST, _WIDEST, _MIDDLE)
    first = [max(length // 2 - count // 2, 0) for length, count in zip(slices.shape, most, strict=True)]
    return slices[tuple(slice(start, start + count) for start, count in zip(first, most, strict=True))]


def cut_blocks(data: np.ndarray) -> Blocks | None:
    """Cut a volume into blocks of 6 x 6 x 2 voxels, smaller ones along short axes.

    Args:
        data: float32, shape (X, Y, slices); NaN where nothing was measured.

    Returns:
        the blocks, or None if the volume is too small.
    """
    axes = [i for i, least in enumerate((3, 3, 8)) if data.shape[i] >= least]
    if not axes or not data.size:
        return None
    fill = _constant_fill(data)
    if fill.any():
        data = np.where(fill, np.float32(np.nan), data)
    response = _high_pass(data, axes)
    edges, grid, offset = [], [], []
    for n, wanted in zip(response.shape, (6, 6, 2), strict=True):
        edges.append(min(wanted, n - n % 2) or 1)
        grid.append(n // edges[-1])
        offset.append((n - grid[-1] * edges[-1]) // 2)
    start = tuple(o + (i in axes) for i, o in enumerate(offset))
    values = _as_rows(data, start, tuple(grid), tuple(edges))
    response = _as_rows(response, tuple(offset), tuple(grid), tuple(edges))
    halves = [(2, e // 2) if e > 1 else (1, 1) for e in edges]
    # einsum: NumPy's reductions of short rows take several times as long
    sums = np.einsum("iajbkcl->iabc", values.reshape(-1, *(n for half in halves for n in half)))
    activity = sums.reshape(len(values), -1).std(axis=1) / np.float32(math.prod(n for _, n in halves))
    index = np.stack(np.unravel_index(np.arange(len(values)), grid), axis=1)
    return Blocks(
        values=values,
        response=response,
        activity=activity,
        position=(index[:, :2] + 0.5) / np.array(grid[:2]),
        usable=np.isfinite(np.einsum("ij->i", response)) & np.isfinite(activity),
        grid=tuple(grid),
        edges=tuple(edges),
        offset=start,
    )


def _high_pass(data: np.ndarray, axes: list[int]) -> np.ndarray:
    """Second differences along each of the axes, which get shorter by 2 voxels."""
    response = data
    for i in axes:
        # times 1 / sqrt(1 + 4 + 1), so that white noise keeps its standard deviation
        filtered = np.float32(-2) * _window(response, i, 1)
        filtered += _window(response, i, 0)
        filtered += _window(response, i, 2)
        filtered *= np.float32(1 / math.sqrt(6))
        response = filtered
    return response


def _as_rows(data: np.ndarray, start: tuple[int, ...], grid: tuple[int, ...], edges: tuple[int, ...]) -> np.ndarray:
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
            window = _window(window, i, 0) & _window(window, i, 1) & _window(window, i, 2)
        for i in axes:
            window = np.pad(window, [(2, 2) if k == i else (0, 0) for k in range(3)])
            window = _window(window, i, 0) | _window(window, i, 1) | _window(window, i, 2)
        fill |= window
    return fill


def _window(data: np.ndarray, axis: int, start: int) -> np.ndarray:
    """All but 2 positions along one axis, from ``start`` on."""
    return data[tuple(slice(start, data.shape[k] - 2 + start) if k == axis else slice(None) for k in range(3))]


def interpolate_grid(values: np.ndarray, centres: Sequence[np.ndarray], places: Sequence[np.ndarray]) -> np.ndarray:
    """Interpolate linearly from one grid to another along each axis, constant past the outermost centres.

    Args:
        values: one for each node of a grid of three axes.
        centres: of the grid along each axis, in voxels, rising.
        places: of the other grid along each axis, in voxels.

    Returns:
        float32, one value for each node of the other grid.
    """
    found = values.astype(np.float32)
    growth = [len(wanted) / len(centre) for centre, wanted in zip(centres, places, strict=True)]
    for axis in sorted(range(3), key=growth.__getitem__):  # the largest array comes last, and has no copy
        nodes = np.moveaxis(found, axis, 0)
        place = np.interp(places[axis], centres[axis], np.arange(len(nodes)))
        lower = np.minimum(place.astype(int), max(len(nodes) - 2, 0))
        upper = np.minimum(lower + 1, len(nodes) - 1)
        weight = (place - lower).astype(np.float32)
        found = np.empty([len(place) if k == axis else n for k, n in enumerate(found.shape)], dtype=np.float32)
        for plane, below, above, share in zip(np.moveaxis(found, axis, 0), lower, upper, weight, strict=True):
            plane[...] = nodes[below] * (1 - share) + nodes[above] * share
    return found
