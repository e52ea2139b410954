"""Read the stored numbers of a NIfTI, Analyze or MGH file some planes at a time, and the bytes around them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import IO

import numpy as np

from mri_denoise.io.files import reading
from mri_denoise.io.nifti.layout import Layout
from mri_denoise.io.packed import open_bytes

_CHUNK = 2**20
_SLAB_VOXELS = 2**21  # converted at a time, which bounds the memory it takes


class VoxelStream:
    """The three parts of an unpacked data file, in order: before the voxels, the voxels, and after them.

    Args:
        stream: the unpacked file at its first byte.
        layout: where its voxels lie.
    """

    def __init__(self, stream: IO[bytes], layout: Layout) -> None:
        self._stream = stream
        self._layout = layout

    def _take(self, count: int) -> bytes:
        with reading(self._layout.data_path):
            taken = self._stream.read(count)
            if len(taken) < count:
                raise EOFError
        return taken

    def before(self) -> bytes:
        """Read the bytes before the first voxel.

        Raises:
            InputError: The file ends too early or cannot be unpacked. The other methods raise it, too.
        """
        return self._take(self._layout.offset)

    def slabs(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Read the stored numbers of the next 3D volume, some planes at a time: which planes, and (X, Y, planes)."""
        x, y, z = self._layout.shape[:3]
        step = max(_SLAB_VOXELS // (x * y), 1)
        for start in range(0, z, step):
            planes = slice(start, min(start + step, z))
            shape = (x, y, planes.stop - start)
            data = self._take(math.prod(shape) * self._layout.dtype.itemsize)
            yield planes, np.frombuffer(data, self._layout.dtype).reshape(shape, order="F")

    def after(self) -> Iterator[bytes]:
        """Read what follows the last voxel, to the end, where gzip keeps its checksum."""
        while True:
            with reading(self._layout.data_path):
                chunk = self._stream.read(_CHUNK)
            if not chunk:
                return
            yield chunk


@contextmanager
def open_voxels(layout: Layout) -> Iterator[VoxelStream]:
    """Open the data file of an image.

    Raises:
        InputError: The file cannot be opened.
    """
    with ExitStack() as stack:
        with reading(layout.data_path):
            stream = stack.enter_context(open_bytes(layout.data_path))
        yield VoxelStream(stream, layout)
