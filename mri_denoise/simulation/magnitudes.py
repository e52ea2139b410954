"""Whether an image is one of magnitudes, to which the noise of magnitudes can be added."""

from __future__ import annotations

import numpy as np

from mri_denoise.errors import InputError

_RIPPLE = 0.01  # of the highest value: what interpolation leaves below 0
_FEW = 0.001  # of the voxels


def as_magnitudes(array: np.ndarray, label: str) -> np.ndarray:
    """Give an image without values below 0, which magnitudes do not have.

    Ripples below 0, as interpolation leaves them, count as 0. The noise of a magnitude would mirror negative values.

    Args:
        array: any shape; NaN and infinity stay.
        label: how messages name the image.

    Raises:
        InputError: if no value is above 0, or more than 1 in 1000 lies below 0 by more than 1 % of the highest.
    """
    finite = array[np.isfinite(array)]
    peak = float(finite.max(initial=-np.inf))
    if peak <= 0:
        raise InputError(f"{label}: has no value above 0, as magnitudes have; sigma is a part of the highest")
    below = float(np.mean(finite < -_RIPPLE * peak))
    if below > _FEW:
        raise InputError(
            f"{label}: has negative values ({100 * below:.2g} % of its voxels, down to {finite.min():g}), which their "
            "noise would make positive; give a magnitude image, or add a constant so that air is 0"
        )
    return np.where(np.isfinite(array) & (array < 0), array.dtype.type(0), array)
