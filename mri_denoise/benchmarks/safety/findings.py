"""One measured number, and the limits that numbers of ours are held to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What was measured.

    Args:
        part: of the benchmark, as ``lesions``.
        case: what it was measured on, as ``white, 4 mm, 2 sigma``.
        measure: what was measured, with its unit.
        value: None where it cannot be told.
        error: standard error of the value over the draws, where there are draws.
    """

    part: str
    case: str
    measure: str
    value: float | None
    error: float | None = None


@dataclass(frozen=True, kw_only=True)
class Limit:
    """The range that a value of ours should lie in.

    Args:
        low: lowest value.
        high: highest value.
    """

    low: float = -np.inf
    high: float = np.inf

    def holds(self, finding: Finding) -> bool:
        """Whether the value lies in the range, give or take two standard errors; what cannot be told holds."""
        if finding.value is None:
            return True
        slack = 2 * (finding.error or 0.0)
        return self.low - slack <= finding.value <= self.high + slack

    def __str__(self) -> str:
        if np.isfinite(self.low) and np.isfinite(self.high):
            return f"{self.low:g} to {self.high:g}"
        return f"from {self.low:g}" if np.isfinite(self.low) else f"to {self.high:g}"


# by the name of the measure, which is the same in every case
LIMITS: Mapping[str, Limit] = {
    "PSNR lost (dB)": Limit(high=0.1),
    "changed voxels": Limit(high=0),
    "noise left, of the input's": Limit(high=1),
    "slow noise left, of the input's": Limit(high=1.1),
    "structures": Limit(high=0),
    "shift of volume (%)": Limit(low=-1, high=1),
    "shift of contrast (%)": Limit(low=-2, high=2),
    "correlation with neighbours": Limit(high=0.1),
    "correlation of what was removed with its neighbours, less the noise's own": Limit(high=0.1),
    "correlation with detail": Limit(low=-0.1, high=0.1),
    "residual / sigma": Limit(high=1.05),
    "width of edges, of the true one": Limit(high=1.1),
    "root mean square change (sigma)": Limit(high=0.15),
}


def mean_of(part: str, case: str, measure: str, values: Iterable[float]) -> Finding:
    """The mean over draws, with its standard error.

    Args:
        part: of the benchmark.
        case: what it was measured on.
        measure: what was measured.
        values: one a draw.
    """
    found = np.array(list(values), dtype=np.float64)
    found = found[np.isfinite(found)]
    if not len(found):
        return Finding(part=part, case=case, measure=measure, value=None)
    error = float(found.std(ddof=1) / np.sqrt(len(found))) if len(found) > 1 else None
    return Finding(part=part, case=case, measure=measure, value=float(found.mean()), error=error)
