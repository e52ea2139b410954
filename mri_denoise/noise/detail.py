"""Small blocks of slices and their cosine coefficients: where noise can be told from anatomy.

The discrete cosine transform of a block parts its fine detail, which holds noise and little else, from its coarse
structure. Where k-space was zero-filled, nothing is left of the finest waves; blocks are larger there, so that they
hold as many waves of the measured band.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.fft import dct

EDGE = 6  # voxels of a block on the measured grid
_LONGEST = 16
_MOST_VOXELS = 3_000_000  # of a larger volume evenly spread slices are looked at
_MASKED = 0.3  # share of zeros, from which on a block lies across the border of a mask


@dataclass(frozen=True, kw_only=True)
class DetailBlocks:
    """Blocks of one slice each, B of them, of E x F voxels.

    Args:
        power: (B, E, F) squares of the orthonormal cosine coefficients, of coarse to fine waves.
        mean: (B,) mean of the block's voxels.
        place: (B, 3) of the block in the grid of blocks: whole numbers.
        grid: blocks along the two axes of a slice, and slices that were cut.
        edges: E and F.
        offset: voxels before the first block along the two axes of a slice.
        slices: numbers of the slices that were cut.
        bands: share of k-space that was measured, along the two axes of a slice.
    """

    power: np.ndarray
    mean: np.ndarray
    place: np.ndarray
    grid: tuple[int, int, int]
    edges: tuple[int, int]
    offset: tuple[int, int]
    slices: np.ndarray
    bands: tuple[float, float]

    def frequency(self) -> tuple[np.ndarray, np.ndarray]:
        """Frequency of each coefficient along the two axes, shapes (E, 1) and (1, F); 1 ends the measured band."""
        first, second = (np.arange(n) / (n * band) for n, band in zip(self.edges, self.bands, strict=True))
        return first[:, None], second[None]

    def chosen(self, which: np.ndarray) -> DetailBlocks:
        """Some of the blocks, by a boolean array of shape (B,)."""
        return DetailBlocks(
            power=self.power[which],
            mean=self.mean[which],
            place=self.place[which],
            grid=self.grid,
            edges=self.edges,
            offset=self.offset,
            slices=self.slices,
            bands=self.bands,
        )


def cut_detail(volume: np.ndarray, bands: Sequence[float] = (1.0, 1.0)) -> DetailBlocks | None:
    """Cut slices into blocks and transform them.

    Blocks with a value that is not finite, with zeros in more than three tenths of their voxels (masks), or of one
    value are left out.

    Args:
        volume: shape (X, Y, slices), any unit.
        bands: share of k-space that was measured along the two axes of a slice
            (:func:`~mri_denoise.noise.zero_filling.find_coverage`).

    Returns:
        the blocks; None where a slice is shorter than a block, or none of them can be used.
    """
    first, second = (min(math.ceil(EDGE / band), _LONGEST) for band in bands)
    edges = (first, second)
    counts = tuple(n // edge for n, edge in zip(volume.shape, edges, strict=False))
    if not all(counts) or not volume.shape[2]:
        return None
    every = max(1, math.ceil(volume.size / _MOST_VOXELS))
    slices = np.arange((volume.shape[2] - 1) % every // 2, volume.shape[2], every)
    offset = tuple((n - c * e) // 2 for n, c, e in zip(volume.shape, counts, edges, strict=False))
    transforms = [dct(np.eye(edge), norm="ortho", axis=0).astype(np.float32) for edge in edges]
    found = []
    for number, index in enumerate(slices):
        part = volume[offset[0] : offset[0] + counts[0] * edges[0], offset[1] : offset[1] + counts[1] * edges[1], index]
        blocks = part.reshape(counts[0], edges[0], counts[1], edges[1]).transpose(0, 2, 1, 3)
        usable = np.isfinite(blocks).all(axis=(2, 3)) & ((blocks == 0).mean(axis=(2, 3)) <= _MASKED)
        usable &= np.ptp(np.where(usable[..., None, None], blocks, 0), axis=(2, 3)) > 0
        places = np.argwhere(usable)
        if len(places):
            blocks = blocks[usable].astype(np.float32)
            coefficients = transforms[0] @ blocks @ transforms[1].T
            places = np.column_stack([places, np.full(len(places), number)])
            found.append((np.square(coefficients), blocks.mean(axis=(1, 2)), places))
    if not found:
        return None
    power, mean, place = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return DetailBlocks(
        power=power,
        mean=mean,
        place=place,
        grid=(*counts, len(slices)),
        edges=edges,
        offset=offset,
        slices=slices,
        bands=(float(bands[0]), float(bands[1])),
    )
