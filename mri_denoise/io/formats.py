"""Read and write a case, whatever its format.

A format is a module with the functions of `Format`. It is imported when the first case needs it, so that a command
loads only the libraries of the files it meets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mri_denoise.errors import InputError
from mri_denoise.io.case import Case, Derivation, Kind
from mri_denoise.io.chunks import Chunk, plan_chunks

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
        """Open a case for reading; see `mri_denoise.io.formats.open_reader`."""

    def open_writer(self, case: Case, destination: Path, *, keep_vendor_headers: bool = False) -> VolumeWriter:
        """Open a result for writing; see `mri_denoise.io.formats.open_writer`."""

    def open_map(self, case: Case, destination: Path, *, affine: np.ndarray, count: int) -> VolumeWriter:
        """Open a map beside a result for writing; see `mri_denoise.io.formats.open_map`."""


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


def open_reader(case: Case) -> VolumeReader:
    """Open a case to read it some volumes at a time.

    Args:
        case: from `mri_denoise.io.discover`.

    Returns:
        A context manager; see `VolumeReader`.

    Raises:
        InputError: A file cannot be opened, or is not an image of its format.

    Examples:
        >>> with open_reader(case) as reader:  # doctest: +SKIP
        ...     for chunk in plan_chunks(reader.count, reader.volume_voxels, whole=reader.whole):
        ...         volume = reader.take(chunk.stop - chunk.start)
    """
    return _FORMATS[case.kind]().open_reader(case)


def open_writer(case: Case, destination: Path, *, keep_vendor_headers: bool = False) -> VolumeWriter:
    """Open the result of a case to write it some volumes at a time, with the headers and stored type of the source.

    Args:
        case: the case that was read.
        destination: a file; for DICOM the folder of the derived series, or a file whose name ends in ``.nii`` or
            ``.nii.gz``.
        keep_vendor_headers: whether DICOM keeps private blocks that describe the old pixels (Siemens CSA).

    Returns:
        See `VolumeWriter`.

    Raises:
        InputError: The source cannot be read any more.
        OutputError: The destination is an input, names another format, or cannot be written.
    """
    return _FORMATS[case.kind]().open_writer(case, destination, keep_vendor_headers=keep_vendor_headers)


def open_map(case: Case, destination: Path, *, affine: np.ndarray, count: int) -> VolumeWriter:
    """Open a map that belongs to a case, such as the removed noise, to write it as float32.

    Args:
        case: the case whose space, units and times the map shares.
        destination: a file named ``.nii`` or ``.nii.gz``; ``.tif`` for a picture. `Case.companion` names it.
        affine: 4 x 4, voxel index to RAS+ mm.
        count: how many volumes will be written.

    Returns:
        See `VolumeWriter`.

    Raises:
        OutputError: The destination is an input, names another format, or cannot be written.
    """
    return _FORMATS[case.kind]().open_map(case, destination, affine=affine, count=count)


def read(case: Case) -> Volume:
    """Read all volumes of a case.

    Args:
        case: from `mri_denoise.io.discover`.

    Returns:
        The pixels, float32 (T, X, Y, Z) in real-world units (slope and intercept applied), with their geometry.

    Raises:
        InputError: A file cannot be read, is damaged, or is not an image of its format.

    Examples:
        >>> cases, skips = discover(Path("sub-01_T1w.nii.gz"))  # doctest: +SKIP
        >>> read(cases[0]).array.shape  # doctest: +SKIP
        (1, 256, 256, 170)
    """
    with open_reader(case) as reader:
        return reader.take(reader.count)


def write(
    case: Case, array: np.ndarray, destination: Path, derivation: Derivation, *, keep_vendor_headers: bool = False
) -> list[Path]:
    """Write a result with the headers and stored type of the source.

    Args:
        case: the case that was read.
        array: float32 (T, X, Y, Z), as `read` gave it.
        destination: as for `open_writer`.
        derivation: how the result was made; DICOM records it.
        keep_vendor_headers: as for `open_writer`.

    Returns:
        The files written.

    Raises:
        InputError: The source cannot be read any more.
        OutputError: The result cannot be written, or is not finite where the source is.
    """
    writer = open_writer(case, destination, keep_vendor_headers=keep_vendor_headers)
    try:
        writer.put(array)
        return writer.finish(derivation)
    except BaseException:
        writer.abandon()
        raise


def chunks_of(case: Case) -> list[Chunk]:
    """Plan the chunks in which a case is read, by its header alone.

    Args:
        case: from `mri_denoise.io.discover`.

    Returns:
        At least one chunk, in order. One chunk of one volume if the case cannot be read; reading it says why.
    """
    try:
        with open_reader(case) as reader:
            return plan_chunks(reader.count, reader.volume_voxels, whole=reader.whole)
    except InputError:
        return plan_chunks(1, 1)
