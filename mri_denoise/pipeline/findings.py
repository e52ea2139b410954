"""What was found in the volumes of a case, chunk by chunk, for its record."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mri_denoise.denoiser import Denoised
from mri_denoise.median_level import median_level


@dataclass(kw_only=True)
class Findings:
    """One value for each volume so far; None where nothing was looked for. See :class:`~mri_denoise.denoiser.Denoised`.

    Args:
        sigma: the noise level in the unit of the input, of a map its lower median where it is above 0.
        variation: high by low sigma over the image.
        zero: the value that counts as no signal.
        returned: voxels in which removed signal came back.
        cautions: flags of :class:`~mri_denoise.noise.cautions.Caution` that apply to any of the volumes.
        changed: whether the volume differs from its input.
    """

    sigma: list[float] | None = None
    variation: list[float] | None = None
    zero: list[float] | None = None
    returned: list[int] | None = None
    cautions: int | None = None
    changed: list[bool] = field(default_factory=list)

    def add(self, denoised: Denoised) -> None:
        """Add what was found in the next volumes."""
        if denoised.sigma is not None:
            self.sigma = [*(self.sigma or []), *map(median_level, denoised.sigma)]
        self.variation = _more(self.variation, denoised.variation)
        self.zero = _more(self.zero, denoised.zero)
        self.returned = _more(self.returned, denoised.returned)
        if denoised.cautions is not None:
            self.cautions = int(np.bitwise_or.reduce(denoised.cautions, initial=self.cautions or 0))
        self.changed += denoised.changed


def _more(known: list[Any] | None, found: np.ndarray | None) -> list[Any] | None:
    """The values so far and those of the next volumes."""
    return known if found is None else [*(known or []), *found.tolist()]
