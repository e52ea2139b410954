"""Cut slices into small blocks and transform them, to separate noise from anatomy.

The discrete cosine transform of a block separates its fine detail, which is mostly noise, from its coarse structure. A
zero-filled image has no power at the highest frequencies; its blocks are larger, so that they hold as many frequencies
of the acquired part of k-space.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.fft import dct

EDGE = 6  # voxels of a block on the acquired matrix
_LONGEST = 16
_MOST_VOXELS = 3_000_000  # a larger volume is sampled in evenly spread slices, a larger slice in evenly spread blocks
_MASKED = 0.3  # fraction of zeros above which a block lies across the border of a mask


@dataclass(frozen=True, kw_only=True)
class DetailBlocks:
    """B blocks of E x F voxels, each from one slice.

    Args:
        power: (B, E, F) squares of the orthonormal cosine coefficients, from low to high frequencies.
        mean: (B,) mean of the block's voxels.
        place: (B, 3) indices of the block in the grid of blocks.
        grid: number of blocks along the two axes of a slice, and number of slices that were cut.
        edges: E and F.
        offset: voxels before the first block along the two axes of a slice.
        slices: numbers of the slices that were cut.
        coverage: fraction of k-space that was acquired along the two axes of a slice.
    """

    power: np.ndarray
    mean: np.ndarray
    place: np.ndarray
    grid: tuple[int, int, int]
    edges: tuple[int, int]
    offset: tuple[int, int]
    slices: np.ndarray
    coverage: tuple[float, float]

    def frequency(self) -> tuple[np.ndarray, np.ndarray]:
        """Compute the frequency of each coefficient along the two axes, relative to the end of the acquired k-space.

        Returns:
            shapes (E, 1) and (1, F).
        """
        first, second = (np.arange(n) / (n * part) for n, part in zip(self.edges, self.coverage, strict=True))
        return first[:, None], second[None]

    def centres(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Compute the places of the grid's blocks along the two axes of a slice, in voxels, and return their slices."""
        first, second = (
            offset + edge * np.arange(count) + (edge - 1) / 2
            for count, edge, offset in zip(self.grid, self.edges, self.offset, strict=False)
        )
        return first, second, self.slices

    def chosen(self, which: np.ndarray) -> DetailBlocks:
        """Select blocks by a boolean array of shape (B,)."""
        return DetailBlocks(
            power=self.power[which],
            mean=self.mean[which],
            place=self.place[which],
            grid=self.grid,
            edges=self.edges,
            offset=self.offset,
            slices=self.slices,
            coverage=self.coverage,
        )


def cut_detail(volume: np.ndarray, coverage: Sequence[float] = (1.0, 1.0), scale: float = 1.0) -> DetailBlocks | None:
    """Cut slices into blocks and transform them.

    Blocks with a value that is not finite, with zeros in more than three tenths of their voxels (masks), or with one
    value only are left out.

    Args:
        volume: shape (X, Y, slices), any unit.
        coverage: fraction of k-space that was acquired along the two axes of a slice
            (:func:`~mri_denoise.noise.zero_filling.find_coverage`).
        scale: what the values are divided by, above 0.

    Returns:
        the blocks, of very large slices some, evenly spread; None if a slice is shorter than a block, or no block can
        be used.
    """
    first, second = (min(math.ceil(EDGE / part), _LONGEST) for part in coverage)
    edges = (first, second)
    counts = tuple(n // edge for n, edge in zip(volume.shape, edges, strict=False))
    if not all(counts) or not volume.shape[2]:
        return None
    every = max(1, math.ceil(volume.size / _MOST_VOXELS))
    slices = np.arange((volume.shape[2] - 1) % every // 2, volume.shape[2], every)
    stride = math.ceil(math.sqrt(math.prod(volume.shape[:2]) / _MOST_VOXELS))
    offset = tuple((n - c * e) // 2 for n, c, e in zip(volume.shape, counts, edges, strict=False))
    transforms = [dct(np.eye(edge), norm="ortho", axis=0).astype(np.float32) for edge in edges]
    found = []
    for number, index in enumerate(slices):
        part = volume[offset[0] : offset[0] + counts[0] * edges[0], offset[1] : offset[1] + counts[1] * edges[1], index]
        blocks = part.reshape(counts[0], edges[0], counts[1], edges[1]).transpose(0, 2, 1, 3)[::stride, ::stride]
        blocks = blocks / np.float32(scale)
        usable = np.isfinite(blocks).all(axis=(2, 3)) & ((blocks == 0).mean(axis=(2, 3)) <= _MASKED)
        usable &= np.ptp(np.where(usable[..., None, None], blocks, 0), axis=(2, 3)) > 0
        places = np.argwhere(usable)
        if len(places):
            blocks = blocks[usable].astype(np.float32)
            coefficients = transforms[0] @ blocks @ transforms[1].T
            places = np.column_stack([stride * places, np.full(len(places), number)])
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
        coverage=(float(coverage[0]), float(coverage[1])),
    )
