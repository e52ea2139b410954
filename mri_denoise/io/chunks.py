"""Plan in which chunks the volumes of a series are read, so that a chunk fits into memory."""

from __future__ import annotations

from typing import NamedTuple

CHUNK_VOXELS = 2**24  # 64 MiB in float32


class Chunk(NamedTuple):
    """Volumes ``start`` to ``stop`` (exclusive) of ``total``."""

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


def plan_chunks(count: int, volume_voxels: int, *, whole: bool = False) -> list[Chunk]:
    """Divide volumes into chunks.

    A chunk holds several volumes of at most `CHUNK_VOXELS` voxels together, or one volume; a volume is never cut.

    Args:
        count: number of volumes, at least 1.
        volume_voxels: voxels of one volume, at least 1.
        whole: put all volumes into one chunk.

    Returns:
        At least one chunk, in order.

    Examples:
        >>> plan_chunks(5, 2**23)
        [Chunk(start=0, stop=2, total=5), Chunk(start=2, stop=4, total=5), Chunk(start=4, stop=5, total=5)]
    """
    step = count if whole else max(CHUNK_VOXELS // volume_voxels, 1)
    return [Chunk(start, min(start + step, count), count) for start in range(0, count, step)]
