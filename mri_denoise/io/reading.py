"""Read a case, whatever its format: as a whole, or some volumes at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mri_denoise.errors import InputError
from mri_denoise.io.case import Case
from mri_denoise.io.chunks import Chunk, plan_chunks
from mri_denoise.io.formats import VolumeReader, format_of

if TYPE_CHECKING:
    from mri_denoise.volume import Volume


def open_reader(case: Case) -> VolumeReader:
    """Open a case to read it some volumes at a time.

    Args:
        case: from `mri_denoise.io.discover`.

    Returns:
        A context manager; see `VolumeReader`.

    Raises:
        InputError: A file cannot be opened, or is not an image of its format.
        TypeError: It is no case, as the path of a file is none.

    Examples:
        >>> with open_reader(case) as reader:  # doctest: +SKIP
        ...     for chunk in plan_chunks(reader.count, reader.volume_voxels, whole=reader.whole):
        ...         volume = reader.take(chunk.stop - chunk.start)
    """
    if not isinstance(case, Case):
        raise TypeError(f"read takes a Case, as discover(Path(...))[0] lists them, no {type(case).__name__}.")
    return format_of(case).open_reader(case)


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
