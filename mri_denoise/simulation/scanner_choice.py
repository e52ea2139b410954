"""Draw random scanners, as they are found in hospitals and laboratories."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from mri_denoise.simulation.scanner_parameters import Combination, Method, ScannerParameters, Window


@dataclass(frozen=True, kw_only=True)
class FixedParameters:
    """Parameters that are given; None is drawn at random.

    Args:
        level: see :class:`~mri_denoise.simulation.scanner_parameters.ScannerParameters`, like the others.
        coils: receiver coils.
        acceleration: reduction factor.
        method: of parallel imaging.
        combination: of the channels.
    """

    level: float | None = None
    coils: int | None = None
    acceleration: int | None = None
    method: Method | None = None
    combination: Combination | None = None


_NOTHING = FixedParameters()


def random_parameters(
    rng: np.random.Generator, fixed: FixedParameters = _NOTHING, *, most_channels: int = 12
) -> ScannerParameters:
    """Draw the parameters of a scanner.

    Head coils are birdcages or have 4 to 32 elements. About half of the images are accelerated, about a third have no
    filter or zero-filling at all. Sigma is 0.8 to 10 % of the maximum, small values as likely as large ones.

    Args:
        rng: source of randomness.
        fixed: parameters that are given; the others are drawn to go with them.
        most_channels: coils are compressed to this number of channels.

    Returns:
        The parameters; the same state of ``rng`` gives the same ones.

    Raises:
        InputError: if fixed parameters are out of range or exclude each other.

    Examples:
        >>> import numpy as np
        >>> random_parameters(np.random.default_rng(0)) == random_parameters(np.random.default_rng(0))
        True
        >>> random_parameters(np.random.default_rng(0), FixedParameters(coils=8)).coils
        8
    """
    level = float(np.exp(rng.uniform(np.log(0.008), np.log(0.1))))
    coils = int(rng.choice([1, 4, 8, 12, 16, 20, 32], p=[0.08, 0.07, 0.25, 0.2, 0.15, 0.1, 0.15]))
    coils = max(coils, fixed.acceleration or 1) if fixed.coils is None else fixed.coils
    acceleration = int(rng.choice([1, 2, 3], p=[0.45, 0.4, 0.15]))
    acceleration = min(acceleration, 3 if coils >= 8 else 2, coils)
    acceleration = acceleration if fixed.acceleration is None else fixed.acceleration
    method, combination = _reconstruction(rng, coils, acceleration, fixed)
    drawn = ScannerParameters(
        level=level if fixed.level is None else fixed.level,
        coils=coils,
        channels=min(coils, max(most_channels, acceleration)),
        coupling=float(rng.uniform(0, 0.3)),
        gap=float(rng.uniform(20, 70)),
        arrangement=int(rng.integers(2**31)),
        phase=float(rng.uniform(0, 2)),
        acceleration=acceleration,
        method=method,
        combination=combination,
        phase_axis=int(rng.integers(2)),
    )
    return _post_processed(rng, _filtered(rng, drawn))


def _reconstruction(
    rng: np.random.Generator, coils: int, acceleration: int, fixed: FixedParameters
) -> tuple[Method, Combination]:
    """Draw a method and a combination that go together and with the fixed parameters."""
    method: Method = "sense" if rng.random() < 0.4 else "grappa"
    combinations: tuple[Combination, ...] = ("rss", "adaptive", "sense")
    combination = combinations[int(rng.choice(3, p=[0.4, 0.35, 0.25]))]
    if fixed.combination is not None:
        combination = fixed.combination
        method = "grappa" if combination != "sense" else method
    method = method if fixed.method is None else fixed.method
    if coils == 1 and fixed.combination is None:  # nothing to combine
        combination = "rss"
    if acceleration > 1 and method == "sense" and fixed.combination is None:
        combination = "sense"
    return method, combination


def _filtered(rng: np.random.Generator, parameters: ScannerParameters) -> ScannerParameters:
    """Add the filters of k-space."""
    partial_fourier = _one_of(rng, [1.0, 7 / 8, 6 / 8], [0.65, 0.2, 0.15])
    zero_filling = _one_of(rng, [1.0, rng.uniform(1, 1.4), 2.0], [0.5, 0.35, 0.15])
    slice_zero_filling = _one_of(rng, [1.0, rng.uniform(1, 2)], [0.8, 0.2])  # 3D acquisitions
    windows: tuple[Window, ...] = ("none", "tukey", "hann", "fermi")
    window = windows[int(rng.choice(4, p=[0.45, 0.3, 0.1, 0.15]))]
    width, elliptical = float(rng.uniform(0.15, 0.8)), bool(rng.random() < 0.3)
    if rng.random() < 0.3:
        return dataclasses.replace(parameters, partial_fourier=partial_fourier)
    return dataclasses.replace(
        parameters,
        partial_fourier=partial_fourier,
        zero_filling=zero_filling,
        slice_zero_filling=slice_zero_filling,
        window=window,
        window_width=width,
        elliptical=elliptical,
    )


def _post_processed(rng: np.random.Generator, parameters: ScannerParameters) -> ScannerParameters:
    """Add regularisation, intensity correction, suppression of the air and rounding."""
    regularisation = _one_of(rng, [0.0, rng.uniform(0.3, 1.5)], [0.25, 0.75])
    normalisation = _one_of(rng, [0.0, 1.0, rng.uniform(0.4, 0.9)], [0.45, 0.45, 0.1])
    even = parameters.combination == "sense"
    return dataclasses.replace(
        parameters,
        regularisation=regularisation if even else 0.0,
        normalisation=0.0 if even or parameters.coils == 1 else normalisation,
        air=_one_of(rng, [1.0, 0.0, rng.uniform(0.1, 0.6)], [0.7, 0.18, 0.12]),
        grey_levels=int(rng.choice([0, 255, 1000, 4095], p=[0.2, 0.1, 0.3, 0.4])),
    )


def _one_of(rng: np.random.Generator, values: list[float], chances: list[float]) -> float:
    """Draw one of several values with given probabilities."""
    return float(rng.choice(values, p=chances))
