"""What a format offers, and which module handles which.

A format is a module with the functions of `Format`. It is imported when the first case needs it, so that a command
loads only the libraries of the files it meets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mri_denoise.io.case import Case, Derivation, Kind

if TYPE_CHECKING:
    import numpy as np
    from typing_extensions import Self

    from mri_denoise.volume import Volume


class VolumeReader(Protocol):
    """A case opened for reading, from its first volume to its last; a context manager."""

    @property
    def count(self) -> int:
        """Number of volumes, the T of (T, X, Y, Z)."""

    @property
    def volume_voxels(self) -> int:
        """Voxels of one volume, X * Y * Z."""

    @property
    def whole(self) -> bool:
        """Whether one `take` must read all volumes, as for DICOM and pictures."""

    def take(self, count: int) -> Volume:
        """Read the next volumes.

        Args:
            count: how many, at least 1; all of them where `whole` is true.

        Returns:
            The volumes, array of shape (count, X, Y, Z).

        Raises:
            InputError: A file cannot be read, is damaged or has changed.
        """

    def close(self) -> None:
        """Close the files."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


class VolumeWriter(Protocol):
    """A result that is written some volumes at a time. Nothing is at its destination before `finish`."""

    def put(self, array: np.ndarray) -> None:
        """Write the next volumes.

        Args:
            array: float32 (T, X, Y, Z), in the source's real-world units.

        Raises:
            InputError: The source cannot be read any more.
            OutputError: The volumes cannot be written. Nothing is left of the result.
        """

    def finish(self, derivation: Derivation) -> list[Path]:
        """Move the files to their destination, after the last volume.

        Args:
            derivation: how the result was made; DICOM records it, the other formats have no place for it.

        Returns:
            The files written.

        Raises:
            InputError: The source cannot be read any more.
            OutputError: The files cannot be written. Nothing is left of the result.
        """

    def abandon(self) -> None:
        """Remove what was written so far; has no effect after `finish`."""


class Format(Protocol):
    """The functions of a module that reads and writes one family of formats."""

    def open_reader(self, case: Case) -> VolumeReader:
        """Open a case for reading; see `mri_denoise.io.reading.open_reader`."""

    def open_writer(self, case: Case, destination: Path, *, keep_vendor_headers: bool = False) -> VolumeWriter:
        """Open a result for writing; see `mri_denoise.io.writing.open_writer`."""

    def open_map(self, case: Case, destination: Path, *, affine: np.ndarray, count: int) -> VolumeWriter:
        """Open a map beside a result for writing; see `mri_denoise.io.writing.open_map`."""


def _nifti() -> Format:
    from mri_denoise.io.nifti import format as nifti

    return nifti


def _picture() -> Format:
    from mri_denoise.io import pictures

    return pictures


def _dicom() -> Format:
    from mri_denoise.io.dicom import format as dicom

    return dicom


_FORMATS: Mapping[Kind, Callable[[], Format]] = {"nifti": _nifti, "picture": _picture, "dicom": _dicom}


def format_of(case: Case) -> Format:
    """Give the module that reads and writes a case."""
    return _FORMATS[case.kind]()
