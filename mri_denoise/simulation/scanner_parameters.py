"""The settings of a simulated scanner."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from mri_denoise.errors import InputError

Method = Literal["sense", "grappa"]
Combination = Literal["rss", "adaptive", "sense"]
Window = Literal["none", "tukey", "hann", "fermi"]


@dataclass(frozen=True, kw_only=True)
class ScannerParameters:
    """How a scanner acquires, reconstructs and stores an image.

    Args:
        level: median of sigma over the head, as a share of the maximum of the noise-free image, 0 to 1.
        coils: receiver coils around the head, 1 to 64; a single one is a birdcage that surrounds it.
        channels: virtual channels after coil compression, 1 to ``coils``; None keeps all coils apart.
        coupling: noise correlation between neighbouring coils, 0 to below 1.
        gap: distance in mm between the head and the coils, above 0.
        arrangement: seed of the places of the coils and of the background phase.
        phase: background phase of the image in radians, peak over the field of view.
        acceleration: reduction factor along the phase-encoding axis, 1 to 4.
        method: parallel imaging by ``"sense"`` or ``"grappa"``; without effect at an acceleration of 1.
        regularisation: strength of the prior of SENSE, at least 0. At 1 it is the minimum mean squared error for the
            signal power that a reference scan shows; it makes the air dark.
        partial_fourier: share of the phase-encoding lines that is acquired, above 0.5 to 1; the rest is zero.
        zero_filling: factor by which zeros extend k-space in plane, 1 to 4.
        slice_zero_filling: the same across slices, for 3D acquisitions.
        elliptical: whether the corners of k-space are left out.
        window: filter of k-space that damps high frequencies.
        window_width: share of the acquired half axis over which the Tukey or Fermi filter falls, above 0 to 1.
        combination: how channels become one image: ``"rss"`` (root of the sum of squares), ``"adaptive"`` (Walsh) or
            ``"sense"`` (least squares with known sensitivities).
        normalisation: exponent of the receive profile that the image is divided by: 0 for none, 1 for an even image.
            Images of the SENSE combination are even already.
        air: factor of voxels outside of the head: 1 keeps them, 0 masks them.
        grey_levels: integers between 0 and the maximum; 0 for no rounding.
        phase_axis: which in-plane axis, 0 or 1, is phase-encoded.

    Raises:
        InputError: for a value out of range, or settings that exclude each other.
    """

    level: float = 0.05
    coils: int = 8
    channels: int | None = None
    coupling: float = 0.0
    gap: float = 30.0
    arrangement: int = 0
    phase: float = 1.0
    acceleration: int = 1
    method: Method = "sense"
    regularisation: float = 0.0
    partial_fourier: float = 1.0
    zero_filling: float = 1.0
    slice_zero_filling: float = 1.0
    elliptical: bool = False
    window: Window = "none"
    window_width: float = 0.5
    combination: Combination = "sense"
    normalisation: float = 0.0
    air: float = 1.0
    grey_levels: int = 0
    phase_axis: int = 1

    def __post_init__(self) -> None:
        """Check the ranges."""
        ranges = {
            "level": (0, 1),
            "coils": (1, 64),
            "coupling": (0, 0.95),
            "gap": (1, 500),
            "acceleration": (1, 4),
            "regularisation": (0, 1e6),
            "partial_fourier": (0.51, 1),
            "zero_filling": (1, 4),
            "slice_zero_filling": (1, 4),
            "window_width": (0.01, 1),
            "normalisation": (0, 1),
            "air": (0, 1),
            "grey_levels": (0, 65535),
            "phase_axis": (0, 1),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(f"scanner: {name} is {value:g}; choose a value from {low:g} to {high:g}.")
        if self.channels is not None and not 1 <= self.channels <= self.coils:
            raise InputError(f"scanner: {self.channels} channels of {self.coils} coils; choose 1 to {self.coils}.")
        if self.acceleration > self.receivers:
            raise InputError(
                f"scanner: acceleration {self.acceleration} with {self.receivers} channels; use as many or more."
            )
        if self.acceleration > 1 and self.method == "sense" and self.combination != "sense":
            raise InputError(f"scanner: SENSE does not go with the combination {self.combination!r}; use GRAPPA.")
        if self.combination == "sense" and self.normalisation > 0:
            raise InputError("scanner: the SENSE combination is even already; use no normalisation.")

    @property
    def receivers(self) -> int:
        """Channels that are reconstructed."""
        return self.coils if self.channels is None else self.channels

    def record(self) -> dict[str, float | int | str | bool | None]:
        """Names and values, ready for JSON."""
        return dataclasses.asdict(self)
