"""Make other contrasts, and phantoms of flat tissues, out of one image by random maps of its intensities.

A map is a table of new values for the intensities from 0 to :data:`TOP`. Drawing intensities at random, far from those
of any real contrast, follows SynthSeg (Billot et al., 2023, https://doi.org/10.1016/j.media.2023.102789). SynthSeg
draws them for labels; here they are drawn for ranges of intensity, which needs no segmentation.
"""

from __future__ import annotations

import numpy as np

TOP = 1.25  # largest intensity in a table
LENGTH = 4096  # entries of a table


def contrast_table(random: np.random.RandomState, knots: tuple[int, int] = (4, 7)) -> np.ndarray:
    """Make a random continuous map, linear between knots: dark may become bright, and tissues may swap places.

    Args:
        random: source of randomness.
        knots: range of the number of knots, the upper end included.

    Returns:
        float32, shape (LENGTH,), values in [0, 1]. In four of five maps zero stays zero.
    """
    count = int(random.randint(knots[0], knots[1] + 1))
    where = np.linspace(0, 1, count)
    where[1:-1] += random.uniform(-0.3, 0.3, count - 2) / count
    values = random.uniform(0, 1, count)
    values /= values.max()
    if random.uniform() < 0.8:
        values[0] = 0
    return np.interp(_intensities(), where, values).astype(np.float32)


def tissue_table(random: np.random.RandomState, tissues: tuple[int, int] = (3, 8)) -> np.ndarray:
    """Make a random staircase: each range of intensities becomes a (nearly) flat tissue without the source's noise.

    Edges between tissues are sharp; averaging of voxels or smoothing afterwards gives them their partial volumes.

    Args:
        random: source of randomness.
        tissues: range of the number of tissues above air, the upper end included.

    Returns:
        float32, shape (LENGTH,), values in [0, 1]. In four of five maps air is zero.
    """
    count = int(random.randint(tissues[0], tissues[1] + 1))
    edges = np.sort(random.uniform(0.05, 1.0, count))
    levels = np.concatenate(
        ([0.0 if random.uniform() < 0.8 else random.uniform(0, 0.3)], random.uniform(0.05, 1, count))
    )
    levels /= levels.max()
    ramp = random.uniform(0.002, 0.03)
    where = np.stack((edges - ramp, edges + ramp), axis=1).reshape(-1)
    values = np.repeat(levels, 2)[1:-1]
    order = np.argsort(where, kind="stable")
    table = np.interp(_intensities(), where[order], values[order])
    # a little of the source's own texture
    slope = random.uniform(0, 0.15) if random.uniform() < 0.5 else 0.0
    return ((1 - slope) * table + slope * np.minimum(_intensities(), 1.0)).astype(np.float32)


def apply_table(image: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Replace the intensities of an image.

    Args:
        image: any shape, scaled to about [0, 1].
        table: shape (LENGTH,), the new values of the intensities from 0 to :data:`TOP`.

    Returns:
        float32, the same shape; values outside [0, TOP] take the table's ends.
    """
    index = np.clip(image * ((LENGTH - 1) / TOP) + 0.5, 0, LENGTH - 1).astype(np.int32)
    return table[index]


def _intensities() -> np.ndarray:
    """The intensities that a table's entries stand for."""
    return np.linspace(0, TOP, LENGTH)
