"""Head phantoms that several tests share."""

from __future__ import annotations

from functools import cache

import numpy as np

from mri_denoise.simulation import head_phantom


def head(shape: tuple[int, int, int], contrast: str = "T1w", seed: int = 0) -> np.ndarray:
    """The phantom of these arguments, drawn once; it cannot be written to."""
    return _draw(shape, contrast, seed)


def mirrored(shape: tuple[int, int, int], number: int) -> np.ndarray:
    """One of eight arrays of other content and one cost: the phantom, mirrored along the axes of the number's bits."""
    one: np.ndarray = head(shape)[tuple(slice(None, None, -1 if number >> axis & 1 else 1) for axis in range(3))]
    return one


@cache
def _draw(shape: tuple[int, int, int], contrast: str, seed: int) -> np.ndarray:
    phantom = head_phantom(shape, contrast, seed)
    phantom.flags.writeable = False
    return phantom
