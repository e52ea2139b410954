"""Stacks of slices: their order along the normal, and whether they lie at equal distances."""

from __future__ import annotations

import numpy as np

from mri_denoise.io.dicom.instance import Instance

GAP_TOLERANCE = 0.01
"""Relative difference of slice gaps that still counts as equal spacing."""
POSITION_TOLERANCE = 0.01
"""Two images less than this many mm apart have the same position."""
MISSING_SLICES = 2.5
"""A gap of more than this many slice thicknesses or spacings means that slices are missing."""
_ROUNDED_TO = ((0.1, 1), (0.01, 2))  # mm, decimals

Stack = list[Instance]


def along_normal(instance: Instance) -> float:
    """Signed distance in mm of an image from the origin along its normal (row x column direction, LPS)."""
    if instance.position is None or instance.orientation is None:
        return 0.0
    return float(np.dot(normal(instance), instance.position))


def normal(instance: Instance) -> np.ndarray:
    """Unit normal of an image plane: row direction x column direction (DICOM PS3.3 C.7.6.2.1.1)."""
    cosines = np.asarray(instance.orientation, dtype=np.float64)
    cross = np.cross(cosines[:3], cosines[3:])
    return cross / (np.linalg.norm(cross) or 1.0)


def place_numbers(stack: Stack) -> dict[object, int]:
    """Number the positions along the normal, by `Instance.key`; images closer than the tolerance share a number."""
    places: dict[object, int] = {}
    place, last = -1, -np.inf
    for one in sorted(stack, key=along_normal):
        here = along_normal(one)
        place += here - last > POSITION_TOLERANCE
        places[one.key] = place
        last = here
    return places


def has_repeats(stack: Stack) -> bool:
    """Whether several images lie at one position."""
    return len(set(place_numbers(stack).values())) < len(stack)


def stack_problem(stack: Stack) -> str | None:
    """Say why neighbouring slices must not serve as context for one another.

    They may if the spacing along the normal is equal within 1 % or within what rounding of the positions explains, no
    slice is shifted in its plane against its neighbour by more than 1 % of the gap or a tenth of a pixel, and no gap is
    more than 2.5 times as wide as the slices (as where slices between them are missing).

    Args:
        stack: slices sorted along the normal.

    Returns:
        The reason in a few words, or None.
    """
    if len(stack) < 2:
        return None
    gaps = np.diff([along_normal(one) for one in stack])
    gap = float(np.median(gaps))
    if gap <= POSITION_TOLERANCE or gaps.min() <= POSITION_TOLERANCE:
        return "several images at one position"
    if np.abs(gaps - gap).max() > GAP_TOLERANCE * gap and not _only_rounded(stack):
        return f"unequal slice gaps ({gaps.min():.3g} to {gaps.max():.3g} mm)"
    if sideways := _sideways(stack, gap):
        return f"slices are shifted sideways by {sideways:.3g} mm each (tilted stack)"
    thickness = stack[0].thickness
    if thickness and gap > MISSING_SLICES * thickness:
        return f"slices {gap:.3g} mm apart at {thickness:.3g} mm thickness: slices between them are missing"
    return None


def evenly_spaced(stack: Stack) -> bool:
    """Whether the slices of a sorted stack lie on a line at equal distances; the line may be tilted."""
    if len(stack) < 2 or any(one.position is None for one in stack):
        return True
    steps = np.diff(_positions(stack), axis=0)
    step = steps.mean(axis=0)
    tolerance = max(GAP_TOLERANCE * float(np.linalg.norm(step)), POSITION_TOLERANCE)
    return float(np.linalg.norm(steps - step, axis=1).max()) <= tolerance or _only_rounded(stack)


def _positions(stack: Stack) -> np.ndarray:
    return np.array([one.position for one in stack], dtype=np.float64)


def _rounding(positions: np.ndarray) -> float:
    """The decimal step in mm to which all coordinates were rounded; 0 if it is finer than 0.01."""
    for step, digits in _ROUNDED_TO:
        if np.abs(positions - np.round(positions, digits)).max() < 1e-6:
            return step
    return 0.0


def _only_rounded(stack: Stack) -> bool:
    """Whether the positions are those of equal steps after rounding to few decimals.

    Rounding moves each coordinate by up to half a step. The residual from the line of least squares is a weighted sum
    of these moves, so it is at most half a step times the sum of the weights.
    """
    positions = _positions(stack)
    count = len(stack)
    step = np.linalg.norm(positions[-1] - positions[0]) / (count - 1)
    index = np.arange(count) - (count - 1) / 2
    weights = np.eye(count) - 1 / count - np.outer(index, index) / (index @ index)
    rounding = _rounding(positions)
    most = rounding / 2 * np.abs(weights).sum(axis=1, keepdims=True)
    return bool(3 * rounding <= step and (np.abs(weights @ positions) <= most + 1e-6).all())


def _sideways(stack: Stack, gap: float) -> float:
    """The shift in mm of slices in their plane against their neighbours; 0 where it does not matter."""
    positions = _positions(stack)
    steps = np.diff(positions, axis=0)
    across = steps - np.outer(steps @ normal(stack[0]), normal(stack[0]))
    tolerance = max(GAP_TOLERANCE * gap, 0.1 * min(stack[0].spacing or (0.0,)))
    common, largest = float(np.linalg.norm(across.mean(axis=0))), float(np.linalg.norm(across, axis=1).max())
    rounding = 2 * _rounding(positions) if _only_rounded(stack) else 0.0
    return largest if largest > tolerance + rounding or common > tolerance + rounding / len(steps) else 0.0
