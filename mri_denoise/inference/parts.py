"""Cut a volume into the parts that hold an image: planes of a single value hold none.

Padding, dropped slices and masked air are planes of one value. A network or a filter that takes them for an image
paints noise or ghosts of the neighbours into them, and takes their edges for structure. So they are left out: each part
between them is denoised as a volume of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

Part = tuple[slice, slice, slice]  # along the three axes of a volume

_SLAB = 2**20  # voxels
_LEAST = 16  # voxels of a plane; fewer may be equal by chance


def blank_planes(volume: torch.Tensor, axis: int) -> torch.Tensor:
    """Find the planes across an axis that hold one value throughout.

    Args:
        volume: shape (X, Y, Z).
        axis: 0, 1 or 2.

    Returns:
        boolean, shape (planes,), on the CPU. False for planes of fewer than 16 voxels.

    Examples:
        >>> volume = torch.rand(8, 8, 3)
        >>> volume[:, :, 1] = 7
        >>> blank_planes(volume, 2).tolist()
        [False, True, False]
    """
    planes = volume.movedim(axis, 0)
    if planes[0].numel() < _LEAST:
        return torch.zeros(len(planes), dtype=torch.bool)
    return (planes.amin(dim=(1, 2)) == planes.amax(dim=(1, 2))).cpu()


def solid_runs(blank: torch.Tensor) -> list[slice]:
    """List the runs of planes between blank ones.

    Args:
        blank: boolean, shape (planes,).

    Examples:
        >>> solid_runs(torch.tensor([True, False, False, True, False]))
        [slice(1, 3, None), slice(4, 5, None)]
    """
    runs: list[slice] = []
    for number, empty in enumerate(blank.tolist()):
        if empty:
            continue
        if runs and runs[-1].stop == number:
            runs[-1] = slice(runs[-1].start, number + 1)
        else:
            runs.append(slice(number, number + 1))
    return runs


def solid_parts(volume: torch.Tensor) -> Iterator[Part]:
    """Cut a volume along its blank planes (:func:`blank_planes`) until no part has one.

    Args:
        volume: shape (X, Y, Z).

    Yields:
        the parts in a fixed order; none for a volume of one value.
    """
    todo: list[Part] = [(slice(0, volume.shape[0]), slice(0, volume.shape[1]), slice(0, volume.shape[2]))]
    while todo:
        part = todo.pop()
        for axis in range(3):
            blank = blank_planes(volume[part], axis)
            if blank.any():
                first = part[axis].start
                for run in reversed(solid_runs(blank)):
                    smaller = list(part)
                    smaller[axis] = slice(first + run.start, first + run.stop)
                    todo.append((smaller[0], smaller[1], smaller[2]))
                break
        else:
            yield part


def slabs(volume: torch.Tensor) -> list[slice]:
    """Cut a volume along its first axis into slabs of about a million voxels, which bounds the memory of a step.

    Args:
        volume: shape (X, Y, Z).

    Examples:
        >>> slabs(torch.empty(5, 1024, 512))
        [slice(0, 2, None), slice(2, 4, None), slice(4, 6, None)]
    """
    step = max(_SLAB // max(volume[0].numel(), 1), 1)
    return [slice(start, start + step) for start in range(0, len(volume), step)]
