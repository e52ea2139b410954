"""Long series in chunks that fit into memory."""

from __future__ import annotations

import math
from typing import NamedTuple

from mri_denoise.errors import InputError
from mri_denoise.io.case import Case

CHUNK_VOXELS = 2**24  # 64 MiB in float32


class Chunk(NamedTuple):
    """Volumes ``start`` to ``stop`` of ``total``."""

    start: int
    stop: int
    total: int

    @property
    def first(self) -> bool:
        """Whether the case begins here."""
        return self.start == 0

    @property
    def last(self) -> bool:
        """Whether the case ends here."""
        return self.stop == self.total

    @property
    def whole(self) -> bool:
        """Whether this is all of the case."""
        return self.first and self.last


def chunks_of(case: Case) -> list[Chunk]:
    """The chunks in which a case is read, so that a long series is never in memory as a whole.

    A chunk holds at most :data:`CHUNK_VOXELS` voxels of several volumes; a volume is never cut.

    Args:
        case: what :func:`mri_denoise.io.discover` found.

    Returns:
        at least one chunk, in order.
    """
    count, volume = _series(case)
    step = max(CHUNK_VOXELS // volume, 1)
    return [Chunk(start, min(start + step, count), count) for start in range(0, count, step)]


def _series(case: Case) -> tuple[int, int]:
    """How many volumes a case has, and their voxels; (1, 1) where it is read as a whole or cannot be read."""
    if case.kind != "nifti":
        return 1, 1
    from mri_denoise.io.nifti.image import shape_of

    try:
        shape = shape_of(case)
    except InputError:  # whoever reads it will say why
        return 1, 1
    return shape[3], math.prod(shape[:3])
