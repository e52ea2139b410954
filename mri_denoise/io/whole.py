"""Reader and writer for formats whose files are read and written as a whole: DICOM and pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mri_denoise.io.case import Derivation
from mri_denoise.volume import Volume

if TYPE_CHECKING:
    from typing_extensions import Self


class WholeReader:
    """A `mri_denoise.io.formats.VolumeReader` for a format that is read as a whole.

    Args:
        read: reads all volumes.
        count: number of volumes.
        volume_voxels: voxels of one volume.
    """

    whole = True

    def __init__(self, read: Callable[[], Volume], *, count: int, volume_voxels: int) -> None:
        self.count, self.volume_voxels = count, volume_voxels
        self._read = read

    def take(self, count: int) -> Volume:
        """Read all volumes; ValueError for another count."""
        if count != self.count:
            raise ValueError(f"{self.count} volumes must be read at once, not {count}")
        return self._read()

    def close(self) -> None:
        """Nothing stays open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class WholeWriter:
    """A `mri_denoise.io.formats.VolumeWriter` for a format that is written as a whole.

    Args:
        write: takes all volumes and the derivation, and returns the files written.
    """

    def __init__(self, write: Callable[[np.ndarray, Derivation], list[Path]]) -> None:
        self._write = write
        self._arrays: list[np.ndarray] = []

    def put(self, array: np.ndarray) -> None:
        """Keep the next volumes until `finish`."""
        self._arrays.append(array)

    def finish(self, derivation: Derivation) -> list[Path]:
        """Write all volumes."""
        arrays, self._arrays = self._arrays, []
        return self._write(arrays[0] if len(arrays) == 1 else np.concatenate(arrays), derivation)

    def abandon(self) -> None:
        """Forget the volumes."""
        self._arrays = []
