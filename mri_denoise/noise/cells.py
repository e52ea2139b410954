"""Measure the level of the noise in small cells, by a network that learned it from simulated scanners.

In tissue, noise and texture lie on top of each other. They differ in how they run on in space and in depth, which the
network (:class:`~mri_denoise.networks.noise_level.NoiseLevelNet`) learned from anatomy that went through simulated
scanners (:mod:`mri_denoise.simulation.scanner`), where the local level is known. It gives a level for each cell of
8 x 8 voxels and the error that it expects.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from mri_denoise.bundles.registry import noise_level_weights
from mri_denoise.bundles.weights import load_weights
from mri_denoise.threads import run_in_threads

if TYPE_CHECKING:
    from mri_denoise.networks.noise_level import NoiseLevelNet

Tile = tuple[slice, slice]
_Item = TypeVar("_Item")

CELL = 8  # voxels of a cell along each axis of a slice
_BLOCK = 4  # voxels of a block whose spread makes the coarse level
_MOST_VOXELS = 3_000_000  # a larger volume is sampled in evenly spread tiles
_TILE = 512  # voxels: longest edge of a tile of a slice
_PART = 128  # voxels: edge of the parts the network was trained on, those of smaller slices padded with zeros
NARROW = 96  # voxels: slices with a shorter edge are padded, too
# Steps along both axes of a slice: as it is, turned by 180 degrees, mirrored. The levels depend a little on the
# direction that the network looks from; where they are averaged over slices that it sees from several, that averages
# out (decision 0017).
_TURNS = (1, 1), (-1, -1), (-1, 1), (1, -1)
_FULL = 0.7  # fraction of voxels that are not 0 in a cell that is used
_BRIGHT = 0.1  # times the 95th percentile of the blocks' means: blocks above it count for the coarse level
_QUIET = 0.2  # quantile of the blocks' spread


@dataclass(frozen=True, kw_only=True)
class Cells:
    """What the network says of cells of 8 x 8 voxels, each from one slice.

    Args:
        level: natural logarithm of the level of the noise in the unit of the slices, shape (H, W, S); NaN where the
            volume was not sampled.
        error: expected absolute error of ``level``, same shape.
        mean: mean magnitude of the cell, same shape; 0 where too many voxels are 0.
        spread: standard deviation of the magnitudes of the cell, same shape.
        slices: numbers of the S slices that were sampled.
        edges: of a cell along the two axes of a slice, in voxels.
    """

    level: np.ndarray
    error: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    slices: np.ndarray
    edges: tuple[float, float] = (CELL, CELL)


def measure_cells(slices: np.ndarray, scale: float = 1.0) -> Cells | None:
    """Let the network estimate the level in each cell.

    A large volume is sampled: evenly spread slices, and of large slices evenly spread tiles.

    Args:
        slices: magnitudes, shape (X, Y, slices), any unit; NaN counts as 0.
        scale: what the magnitudes are divided by, above 0; it is the unit of the levels.

    Returns:
        the cells; None if a slice is smaller than a cell, or there is nothing to measure.

    Raises:
        WeightsError: if the network's weights are missing or damaged.
    """
    rows, columns = slices.shape[0] // CELL, slices.shape[1] // CELL
    if not rows or not columns or not slices.shape[2]:
        return None
    tiles, numbers = _plan(slices.shape)
    work = [(tile, place) for place in range(len(numbers)) for tile in tiles]
    coarse = coarse_level([_scaled(slices[tile][..., numbers[place]], scale) for tile, place in work])
    if not coarse > 0:
        return None
    shape = (rows, columns, len(numbers))
    level, error = np.full(shape, np.nan, dtype=np.float32), np.full(shape, np.inf, dtype=np.float32)
    mean, spread = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.float32)

    def measure(part: tuple[Tile, int]) -> None:
        tile, place = part
        slab = _slab(slices, tile, numbers[place], scale)
        found = _run_network(slab / np.float32(coarse), _TURNS[place % len(_TURNS)])
        first, second = (slice(edge.start // CELL, edge.stop // CELL) for edge in tile)
        level[first, second, place], error[first, second, place] = found[0] + math.log(coarse), np.exp(found[1])
        mean[first, second, place], spread[first, second, place] = _magnitudes(slab[1])

    _network()  # loaded before the threads begin
    run_in_threads(measure, work)
    return Cells(level=level, error=error, mean=mean, spread=spread, slices=np.array(numbers))


def _plan(shape: tuple[int, ...]) -> tuple[list[Tile], list[int]]:
    """Tiles of a slice that are measured, and the numbers of the slices."""
    tiles: list[Tile] = list(product(_tiles(shape[0]), _tiles(shape[1])))
    size = max((first.stop - first.start) * (second.stop - second.start) for first, second in tiles)
    most = max(_MOST_VOXELS // size, 1)  # tiles of all slices
    tiles = _spread(tiles, most)
    return tiles, _spread(range(shape[2]), most // len(tiles))


def _spread(items: Sequence[_Item], most: int) -> list[_Item]:
    """At most so many of the items, evenly spread."""
    every = math.ceil(len(items) / most)
    return list(items[(len(items) - 1) % every // 2 :: every])


def _tiles(length: int) -> list[slice]:
    """Parts of an axis of at most a tile's edge, of whole cells."""
    cells = length // CELL
    count = math.ceil(cells * CELL / _TILE)
    bounds = [CELL * (cells * index // count) for index in range(count + 1)]
    return [slice(low, high) for low, high in zip(bounds[:-1], bounds[1:], strict=True)]


def _slab(slices: np.ndarray, tile: Tile, number: int, scale: float) -> np.ndarray:
    """A tile of a slice between those of its neighbours, zeros for one that is missing: float32, (3, X, Y)."""
    slab = np.zeros((3, *(edge.stop - edge.start for edge in tile)), dtype=np.float32)
    first, last = max(number - 1, 0), min(number + 2, slices.shape[2])
    slab[first - number + 1 : last - number + 1] = np.moveaxis(_scaled(slices[tile][..., first:last], scale), 2, 0)
    return slab


def _scaled(values: np.ndarray, scale: float) -> np.ndarray:
    """Values in the unit of the levels: float32, 0 where they are not finite."""
    return np.nan_to_num(values / np.float32(scale), posinf=0, neginf=0)


def coarse_level(tiles: list[np.ndarray]) -> float:
    """Compute the spread of the quieter bright blocks of 4 x 4 voxels, to which the network's input is relative.

    Args:
        tiles: parts of slices, shape (X, Y) each, finite.

    Returns:
        a standard deviation in the unit of the tiles; 0 if nothing varies.
    """
    means, spreads = [], []
    for tile in tiles:
        rows, columns = (length // _BLOCK for length in tile.shape)
        blocks = tile[: rows * _BLOCK, : columns * _BLOCK].reshape(rows, _BLOCK, columns, _BLOCK).astype(np.float32)
        full = (blocks != 0).mean(axis=(1, 3)) > _FULL
        spread = blocks.std(axis=(1, 3), ddof=1)
        usable = full & (spread > 0)
        means.append(blocks.mean(axis=(1, 3))[usable])
        spreads.append(spread[usable])
    mean, spread = np.concatenate(means), np.concatenate(spreads)
    if not len(mean):
        return 0.0
    bright = mean > _BRIGHT * np.percentile(mean, 95)
    return float(np.quantile(spread[bright], _QUIET))


def _magnitudes(tile: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean of each cell, 0 where too many voxels are 0, and standard deviation."""
    cells = tile.reshape(tile.shape[0] // CELL, CELL, tile.shape[1] // CELL, CELL)
    mean: np.ndarray = np.where((cells != 0).mean(axis=(1, 3)) > _FULL, cells.mean(axis=(1, 3)), 0)
    return mean, cells.std(axis=(1, 3))


def _run_network(slab: np.ndarray, turn: tuple[int, int]) -> np.ndarray:
    """Level and error of the cells of a tile, as :class:`~mri_denoise.networks.noise_level.NoiseLevelNet` returns.

    The network sees the tile with the steps ``turn`` along its axes; the result is the right way round.

    A small tile lies in a corner of zeros, as in training: without them, the levels of small crops came out up to 3.7
    times too high.
    """
    import torch

    rows, columns = slab.shape[1:]
    margins = [max(_PART - edge, 0) if min(rows, columns) < NARROW else 0 for edge in (rows, columns)]
    first, second = turn
    padded = np.pad(slab[:, ::first, ::second], [(0, 0), *((0, margin) for margin in margins)])
    with torch.inference_mode():
        found: np.ndarray = _network()(torch.from_numpy(padded)[None])[0].numpy()
    return found[:, : rows // CELL, : columns // CELL][:, ::first, ::second]


@cache
def _network() -> NoiseLevelNet:
    """The network with its weights, loaded once a process."""
    from mri_denoise.networks.noise_level import NoiseLevelNet

    network = NoiseLevelNet()
    load_weights(network, noise_level_weights())
    return network
