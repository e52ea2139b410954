"""What was found in the volumes of a case, chunk by chunk, for its record."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mri_denoise.denoiser import Denoised


@dataclass(kw_only=True)
class Findings:
    """One value for each volume so far; None where nothing was looked for. See :class:`~mri_denoise.denoiser.Denoised`.

    Args:
        sigma: the noise level in the unit of the input, of a map its lower median.
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
            self.sigma = [*(self.sigma or []), *_lower_medians(denoised.sigma)]
        if denoised.variation is not None:
            self.variation = [*(self.variation or []), *denoised.variation.astype(np.float32).tolist()]
        if denoised.zero is not None:
            self.zero = [*(self.zero or []), *denoised.zero.astype(np.float32).tolist()]
        if denoised.returned is not None:
            self.returned = [*(self.returned or []), *denoised.returned.astype(int).tolist()]
        if denoised.cautions is not None:
            self.cautions = int(np.bitwise_or.reduce(denoised.cautions, initial=self.cautions or 0))
        self.changed += denoised.changed


def _lower_medians(sigma: np.ndarray) -> list[float]:
    """The lower median of each of the first axis."""
    flat = sigma.reshape(len(sigma), -1).astype(np.float32, copy=False)
    middle = (flat.shape[1] - 1) // 2
    return [float(value) for value in np.partition(flat, middle, axis=1)[:, middle]]
