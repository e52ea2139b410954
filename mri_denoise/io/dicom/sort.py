"""Sort the images of MR series into volumes, so that no volume holds two echoes or time points."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace

import numpy as np

from mri_denoise.io.dicom.instance import Instance
from mri_denoise.io.dicom.stack import Stack, along_normal, has_repeats, place_numbers, stack_problem
from mri_denoise.io.dicom.time_points import divide_by_order, instance_order

ORIENTATION_TOLERANCE = 1e-3
"""Direction cosines that differ by less than this are the same orientation (0.06 degrees)."""


def sort_volumes(instances: Iterable[Instance]) -> list[Stack]:
    """Divide images into volumes.

    What differs in nothing but place, number and storage is one volume. Slices form a volume only if patient, study and
    series, all dividing attributes (`Instance.divider` and `moment`) and orientation agree, and if all or none of them
    say how their values are scaled. Acquisition numbers divide a series where they count repeats, or stacks that are
    regular on their own only. Positions that repeat are time points: they are divided by file if each file holds every
    position once, by what the header says of timing, or else by the order of numbers
    (`mri_denoise.io.dicom.time_points.divide_by_order`).

    Args:
        instances: eligible images, in any order.

    Returns:
        The volumes, by series and then by the smallest Instance Number in them; slices ordered along the normal of the
        orientation. Images without position or orientation become volumes of one slice, and so do those at repeated
        positions whose time points nothing tells apart.
    """
    volumes: list[Stack] = []
    for group in _split(instances, lambda one: (one.series, one.divider, one.moment)):
        placed = [one for one in group if one.position and one.orientation]
        volumes += [[one] for one in group if not (one.position and one.orientation)]
        for oriented in _by_orientation(placed):
            for scaled in _by_scale(oriented):
                volumes += _by_acquisition(scaled)
    ordered = [sorted(volume, key=along_normal) for volume in volumes]
    return sorted(ordered, key=lambda v: (v[0].series, min(map(instance_order, v))))


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


def _by_scale(group: Stack) -> list[Stack]:
    """Take images apart that do not say how their values are scaled, if the others have a scale of their own."""
    scales = {one.scale for one in group}
    return _split(group, lambda one: one.scale is None) if None in scales and scales - {None, (1.0, 0.0)} else [group]


def _by_acquisition(group: Stack) -> list[Stack]:
    """Divide by Acquisition Number where its parts are repeats or separate stacks, not the slices of one stack."""
    parts = [sorted(part, key=along_normal) for part in _split(group, lambda one: one.acquisition)]
    if len(parts) == 1:
        return _by_time(group)
    if not has_repeats(group):
        whole = sorted(group, key=along_normal)
        torn = any(len(part) < 2 or stack_problem(part) for part in parts)
        return [whole] if torn or stack_problem(whole) is None else parts
    places = place_numbers(group)
    most = max(len({places[one.key] for one in part}) for part in parts)
    if most == 1 or 2 * most < len(set(places.values())):
        return _by_time(group)  # the numbers count slices
    return [volume for part in parts for volume in _by_time(part)]


def _by_time(group: Stack) -> list[Stack]:
    """Divide images at repeated positions into time points."""
    if not has_repeats(group):
        return [group]
    most = max(Counter(place_numbers(group).values()).values())
    files = _split(group, lambda one: one.path)
    if len(files) == most and not any(map(has_repeats, files)):
        # Mosaics, and enhanced instances of one time point each.
        return files
    for which in range(len(group[0].timing)):
        parts = _split(group, lambda one, k=which: one.timing[k])  # type: ignore[misc]
        if len(parts) == most and not any(map(has_repeats, parts)):
            return parts
    alone = "several images at one position, and nothing tells time points apart: each image alone"
    return divide_by_order(group) or [[replace(one, notes=(*one.notes, alone))] for one in group]
