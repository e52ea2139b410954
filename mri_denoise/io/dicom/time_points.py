"""Tell the time points of images at repeated positions by the order of their numbers or times."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from mri_denoise.io.dicom.instance import Instance
from mri_denoise.io.dicom.stack import Stack, place_numbers
from mri_denoise.io.files import natural

_ACQUISITION_TIMES = (4, 5)  # in `Instance.timing`: date and time, time alone


def instance_order(instance: Instance) -> tuple[object, ...]:
    """A key that sorts by Instance Number, then by file and plane."""
    number = instance.number if instance.number is not None else 0
    return (number, natural(instance.path.as_posix()), instance.plane)


def divide_by_order(group: Stack) -> list[Stack] | None:
    """Divide images at repeated positions into time points.

    Scanners number slice by slice within each time point, or time point by time point at each slice. Both are tried,
    for Instance Number and frame, Acquisition Number and acquisition time; the first that gives complete and regular
    volumes is taken.

    Args:
        group: images of one series, contrast and orientation.

    Returns:
        The volumes in the order of time; None if no order makes sense.
    """
    places = place_numbers(group)
    for numbers in _orders(group):
        place = np.array([places[one.key] for one in group])
        times = _by_arithmetic(numbers, place)
        if times is None:
            times = _by_runs(numbers, place)
        if times is None:
            times = _by_blocks(numbers, place)
        if times is not None:
            volumes: dict[int, Stack] = defaultdict(list)
            for time, one in zip(times.tolist(), group, strict=True):
                volumes[time].append(one)
            return [volumes[time] for time in sorted(volumes)]
    return None


def _orders(group: Stack) -> list[np.ndarray]:
    """Whole numbers for each image by which it may be ordered, each a different one."""
    orders: list[Sequence[object]] = []
    if all(one.number is not None for one in group) and len({(one.number, one.plane) for one in group}) == len(group):
        if not any(one.plane for one in group):
            orders.append([one.number for one in group])
        elif len({one.path for one in group}) == 1:
            orders.append([one.plane for one in group])
        else:
            orders.append(_ranks([instance_order(one) for one in group]))
    if all(one.acquisition is not None for one in group):
        orders.append([one.acquisition for one in group])
    for which in _ACQUISITION_TIMES:
        if all(one.timing[which] for one in group):
            orders.append(_ranks([natural(str(one.timing[which])) for one in group]))
    return [np.array(order, dtype=np.int64) for order in orders if len(set(order)) == len(group)]


def _ranks(keys: list[tuple[object, ...]]) -> list[int]:
    """The rank of each key; equal keys share one."""
    rank = {key: k for k, key in enumerate(sorted(set(keys)))}
    return [rank[key] for key in keys]


def _by_arithmetic(numbers: np.ndarray, place: np.ndarray) -> np.ndarray | None:
    """Time points where numbers count without gaps but for images that are missing; the number tells the time."""
    slices, times = int(place.max()) + 1, max(Counter(place.tolist()).values())
    counted = numbers - numbers.min()
    for start in range(max(slices, times)):
        time, slot = np.divmod(counted + start, slices)
        if start < slices and time.max() < times and _one_to_one(slot, place):
            return time
        slot, time = np.divmod(counted + start, times)
        if start < times and slot.max() < slices and _one_to_one(slot, place):
            return time
    return None


def _one_to_one(slot: np.ndarray, place: np.ndarray) -> bool:
    """Whether each slot holds one place, and each place lies in one slot."""
    pairs = np.unique(slot * (place.max() + 1) + place).size
    return bool(pairs == np.unique(slot).size == np.unique(place).size)


def _by_runs(numbers: np.ndarray, place: np.ndarray) -> np.ndarray | None:
    """Time points where slices run faster: a new one begins where a place comes back.

    There must be no more of them than images at the fullest place, with the slices in one order in all.
    """
    order = np.argsort(numbers, kind="stable")
    runs: list[list[int]] = [[]]
    time = np.empty(len(place), dtype=np.int64)
    for k in order.tolist():
        if int(place[k]) in runs[-1]:
            runs.append([])
        runs[-1].append(int(place[k]))
        time[k] = len(runs) - 1
    longest = {one: rank for rank, one in enumerate(sorted(runs, key=len)[-1])}
    ranks = [[longest[one] for one in run if one in longest] for run in runs]
    regular = all(ranks_ == sorted(ranks_) for ranks_ in ranks)
    return time if regular and len(runs) == max(Counter(place.tolist()).values()) else None


def _by_blocks(numbers: np.ndarray, place: np.ndarray) -> np.ndarray | None:
    """Time points where time runs faster: the images of a place follow one another, and no place lacks any."""
    order = np.argsort(numbers, kind="stable")
    counts = Counter(place.tolist())
    changes = int((np.diff(place[order]) != 0).sum())
    if len(set(counts.values())) != 1 or changes != len(counts) - 1:
        return None
    time = np.empty(len(place), dtype=np.int64)
    time[order] = np.tile(np.arange(counts[int(place[0])]), len(counts))
    return time
