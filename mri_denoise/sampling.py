"""Which voxels of a large volume are looked at where some of them tell enough."""

import math


def sample_step(size: int, most: int) -> int:
    """The step from one voxel of a sample to the next, so that no row, column or slice stands for all.

    A step that has a factor in common with an axis would come to a part of it alone: in a volume of 1024 x 1024 x 16
    voxels one voxel in sixteen lies in one slice. This one comes to all places along the first and the last axis, and
    along the others as well where the sample may have as many voxels as the axes but the last one span; with fewer it
    may pass over some.

    Args:
        size: number of voxels.
        most: about how many the sample may have.

    Returns:
        the smallest step of at least ``size // most`` that has no factor in common with the size, and so with no axis.

    Examples:
        >>> sample_step(1024 * 1024 * 16, 1_000_000)
        17
        >>> sample_step(500, 1_000_000)
        1
    """
    step = max(size // most, 1)
    while math.gcd(step, size) > 1:
        step += 1
    return step
