"""Sort the images of MR series into volumes, so that no volume holds two echoes or time points."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable

import numpy as np

from mri_denoise.io.dicom.instance import Instance
from mri_denoise.io.files import natural

ORIENTATION_TOLERANCE = 1e-3
"""Direction cosines that differ by less than this are the same orientation (0.06 degrees)."""
GAP_TOLERANCE = 0.01
"""Relative difference of slice gaps that still counts as equal spacing."""
POSITION_TOLERANCE = 0.01
"""Two images less than this many mm apart have the same position."""
MISSING_SLICES = 2.5
"""A gap of more than this many slice thicknesses or spacings means that slices are missing."""

Stack = list[Instance]


def sort_volumes(instances: Iterable[Instance]) -> list[Stack]:
    """Divide images into volumes.

    Slices form a volume only if patient, study and series, all dividing attributes (`Instance.divider` and `moment`)
    and orientation agree. Images of different acquisition numbers form one volume only if they make up one equally
    spaced stack. Positions that repeat are time points: they are divided by file if each file holds every position
    once, by what the header says of timing, or else by the order of Instance Number.

    Args:
        instances: eligible images, in any order.

    Returns:
        The volumes, by series and then by the smallest Instance Number in them; slices ordered along the normal of the
        orientation. Images without position or orientation become volumes of one slice.
    """
    volumes: list[Stack] = []
    for group in _split(instances, lambda one: (one.series, one.divider, one.moment)):
        placed = [one for one in group if one.position and one.orientation]
        volumes += [[one] for one in group if not (one.position and one.orientation)]
        for oriented in _by_orientation(placed):
            volumes += _by_acquisition(oriented)
    ordered = [sorted(volume, key=along_normal) for volume in volumes]
    return sorted(ordered, key=lambda v: (v[0].series, min(map(_instance_order, v))))


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


def stack_problem(stack: Stack) -> str | None:
    """Say why neighbouring slices must not serve as context for one another.

    They may if the spacing along the normal is equal within 1 %, no slice is shifted in its plane against its neighbour
    by more than 1 % of the gap or a tenth of a pixel, and no gap is more than 2.5 times as wide as the slices (as where
    slices between them are missing).

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
    if np.abs(gaps - gap).max() > GAP_TOLERANCE * gap:
        return f"unequal slice gaps ({gaps.min():.3g} to {gaps.max():.3g} mm)"
    positions = np.array([one.position for one in stack], dtype=np.float64)
    steps = np.diff(positions, axis=0)
    sideways = np.linalg.norm(steps - np.outer(steps @ normal(stack[0]), normal(stack[0])), axis=1).max()
    if sideways > max(GAP_TOLERANCE * gap, 0.1 * min(stack[0].spacing or (0.0,))):
        return f"slices are shifted sideways by {sideways:.3g} mm each (tilted stack)"
    thickness = stack[0].thickness
    if thickness and gap > MISSING_SLICES * thickness:
        return f"slices {gap:.3g} mm apart at {thickness:.3g} mm thickness: slices between them are missing"
    return None


def evenly_spaced(stack: Stack) -> bool:
    """Whether the slices of a sorted stack lie on a line at equal distances; the line may be tilted."""
    if len(stack) < 2 or any(one.position is None for one in stack):
        return True
    positions = np.array([one.position for one in stack], dtype=np.float64)
    steps = np.diff(positions, axis=0)
    step = steps.mean(axis=0)
    tolerance = max(GAP_TOLERANCE * float(np.linalg.norm(step)), POSITION_TOLERANCE)
    return float(np.linalg.norm(steps - step, axis=1).max()) <= tolerance


def _split(instances: Iterable[Instance], key: Callable[[Instance], Hashable]) -> list[Stack]:
    groups: dict[Hashable, Stack] = defaultdict(list)
    for one in instances:
        groups[key(one)].append(one)
    return list(groups.values())


def _by_orientation(instances: Stack) -> list[Stack]:
    """Cluster by direction cosines; rounding instead would split a cluster at the edge of a bin."""
    clusters: list[Stack] = []
    for one in instances:
        for cluster in clusters:
            difference = np.subtract(one.orientation or (), cluster[0].orientation or ())
            if np.abs(difference).max() < ORIENTATION_TOLERANCE:
                cluster.append(one)
                break
        else:
            clusters.append([one])
    return clusters


def _by_acquisition(group: Stack) -> list[Stack]:
    """Divide by Acquisition Number, unless its parts are the slices of one regular stack, each position once."""
    parts = _split(group, lambda one: one.acquisition)
    if len(parts) > 1:
        whole = sorted(group, key=along_normal)
        if not _repeats(group) and stack_problem(whole) is None:
            parts = [whole]
    return [volume for part in parts for volume in _by_time(part)]


def _by_time(group: Stack) -> list[Stack]:
    """Divide images at repeated positions into time points."""
    if not _repeats(group):
        return [group]
    most = max(Counter(_places(group).values()).values())
    files = _split(group, lambda one: one.path)
    if len(files) == most and not any(map(_repeats, files)):
        # Mosaics, and enhanced instances of one time point each.
        return files
    for which in range(len(group[0].timing)):
        parts = _split(group, lambda one, k=which: one.timing[k])  # type: ignore[misc]
        if len(parts) == most and not any(map(_repeats, parts)):
            return parts
    if len({(one.number, one.plane) for one in group}) < len(group) or any(one.number is None for one in group):
        # nothing tells which images belong together: each is a volume
        return [[one] for one in group]
    return _by_instance_number(group)


def _by_instance_number(group: Stack) -> list[Stack]:
    """Time points by the order of Instance Number, whether slices or time points run faster in it."""
    places = _places(group)
    ordered = sorted(group, key=_instance_order)
    same = sum(places[a.key] == places[b.key] for a, b in zip(ordered, ordered[1:], strict=False))
    volumes: list[Stack] = []
    if 2 * same > len(ordered):
        # Time runs faster: the k-th image at each position belongs to time point k.
        seen: Counter[int] = Counter()
        for one in ordered:
            k = seen[places[one.key]]
            seen[places[one.key]] += 1
            volumes += [[]] if k == len(volumes) else []
            volumes[k].append(one)
        return volumes
    # Slices run faster: a new time point begins where a position comes back; a missing slice does not disturb it.
    for one in ordered:
        if not volumes or any(places[one.key] == places[other.key] for other in volumes[-1]):
            volumes.append([])
        volumes[-1].append(one)
    return volumes


def _repeats(group: Stack) -> bool:
    return len(set(_places(group).values())) < len(group)


def _places(group: Stack) -> dict[object, int]:
    """Number the positions of a group along the normal; images closer than the tolerance share a number."""
    places: dict[object, int] = {}
    place, last = -1, -np.inf
    for one in sorted(group, key=along_normal):
        here = along_normal(one)
        place += here - last > POSITION_TOLERANCE
        places[one.key] = place
        last = here
    return places


def _instance_order(instance: Instance) -> tuple[object, ...]:
    number = instance.number if instance.number is not None else 0
    return (number, natural(instance.path.as_posix()), instance.plane)
