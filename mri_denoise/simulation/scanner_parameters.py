"""The settings of a simulated scanner, and their random choice."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mri_denoise.errors import InputError

Method = Literal["sense", "grappa"]
Combination = Literal["rss", "adaptive", "sense"]
Window = Literal["none", "tukey", "hann", "fermi"]


@dataclass(frozen=True, kw_only=True)
class ScannerParameters:
    """How a scanner acquires, reconstructs and stores an image.

    Args:
        level: median of sigma over the head, as a share of the maximum of the noise-free image, 0 to 1.
        coils: receiver coils around the head, 1 to 64.
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


def random_parameters(rng: np.random.Generator) -> ScannerParameters:
    """Draw a scanner as they are found in hospitals and laboratories.

    Head coils have 4 to 32 elements, and those with many are compressed to 12 channels. About half of the images are
    accelerated, about a third have no filter or zero-filling at all.

    Args:
        rng: source of randomness.

    Returns:
        The parameters; the same state of ``rng`` gives the same ones.

    Example:
        >>> import numpy as np
        >>> random_parameters(np.random.default_rng(0)) == random_parameters(np.random.default_rng(0))
        True
    """
    coils = int(rng.choice([4, 8, 12, 16, 20, 32], p=[0.1, 0.25, 0.2, 0.15, 0.15, 0.15]))
    most = 3 if coils >= 8 else 2
    acceleration = int(rng.choice([1, 2, 3], p=[0.45, 0.4, 0.15]))
    acceleration = min(acceleration, most)
    method: Method = "sense" if rng.random() < 0.4 else "grappa"
    combination: Combination
    if acceleration > 1 and method == "sense":
        combination = "sense"
    else:
        combination = ("rss", "adaptive", "sense")[int(rng.choice(3, p=[0.4, 0.35, 0.25]))]
    even = combination == "sense"
    plain = rng.random() < 0.3  # neither filter nor zero-filling
    window: Window = ("none", "tukey", "hann", "fermi")[int(rng.choice(4, p=[0.45, 0.3, 0.1, 0.15]))]
    three_dimensional = rng.random() < 0.4
    zero_filling = float(rng.choice([1.0, rng.uniform(1, 1.4), 2.0], p=[0.5, 0.35, 0.15]))
    slice_zero_filling = float(rng.uniform(1, 2)) if three_dimensional and rng.random() < 0.5 else 1.0
    return ScannerParameters(
        level=float(np.exp(rng.uniform(np.log(0.008), np.log(0.1)))),
        coils=coils,
        channels=min(coils, 12),
        coupling=float(rng.uniform(0, 0.3)),
        gap=float(rng.uniform(15, 50)),
        arrangement=int(rng.integers(2**31)),
        phase=float(rng.uniform(0, 2)),
        acceleration=acceleration,
        method=method,
        regularisation=float(rng.choice([0.0, rng.uniform(0.3, 1.5)])) if even else 0.0,
        partial_fourier=float(rng.choice([1.0, 7 / 8, 6 / 8], p=[0.65, 0.2, 0.15])),
        zero_filling=1.0 if plain else zero_filling,
        slice_zero_filling=1.0 if plain else slice_zero_filling,
        elliptical=not plain and bool(rng.random() < 0.3),
        window="none" if plain else window,
        window_width=float(rng.uniform(0.15, 0.8)),
        combination=combination,
        normalisation=0.0 if even else float(rng.choice([0.0, 1.0, rng.uniform(0.4, 0.9)], p=[0.45, 0.45, 0.1])),
        air=float(rng.choice([1.0, 0.0, rng.uniform(0.1, 0.6)], p=[0.7, 0.18, 0.12])),
        grey_levels=int(rng.choice([0, 255, 1000, 4095], p=[0.2, 0.1, 0.3, 0.4])),
        phase_axis=int(rng.integers(2)),
    )
