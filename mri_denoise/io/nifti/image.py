"""NIfTI-1/2, Analyze and MGH: read to real-world values, and written back with every header byte as it was.

The writer copies the source's bytes around the voxels (header, extensions, MGH footer) and replaces only the voxels, so
that nothing is lost that a header library does not know.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import numpy as np

from mri_denoise.errors import InputError, OutputError
from mri_denoise.io.case import Case
from mri_denoise.io.files import reading, write_beside
from mri_denoise.io.nifti.layout import Layout, layout_of, matrix_of
from mri_denoise.io.nifti.voxels import VoxelStream, open_voxels
from mri_denoise.io.packed import open_bytes, packing
from mri_denoise.io.scaling import to_stored, to_values, vanishes
from mri_denoise.io.sniff import asks_for_another_format, pair_of
from mri_denoise.io.stepped import SteppedWriter
from mri_denoise.volume import Volume


class SeriesReader:
    """A file, or header and image of a pair, read some volumes at a time.

    Slope and intercept are applied in float64. Axes past the fourth are folded into T with the fourth running fastest;
    missing axes are 1. The slice axis is that of NIfTI's ``dim_info`` where it is set.

    Args:
        case: sources are the file, or header and image of a pair.

    Raises:
        InputError: The file is no such image, is truncated or damaged, is RGB or complex, cannot be opened, or holds
            finite values beyond float32. The methods raise it, too.
    """

    whole = False

    def __init__(self, case: Case) -> None:
        self._layout = layout_of(_files(case.sources))
        self.count = self._layout.shape[3]
        self.volume_voxels = math.prod(self._layout.shape[:3])
        self._left = self.count
        with ExitStack() as stack:
            self._source = stack.enter_context(open_voxels(self._layout))
            self._source.before()
            self._stack = stack.pop_all()

    def __enter__(self) -> SeriesReader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def take(self, count: int) -> Volume:
        """Read the next ``count`` volumes; after the last one gzip's checksum is verified, too."""
        with reading(self._layout.data_path):
            array = np.empty((count, *self._layout.shape[:3]), dtype=np.float32)
        for volume in array:
            for planes, stored in self._source.slabs():
                volume[:, :, planes] = _values(stored, self._layout)
        self._left -= count
        if self._left == 0:
            for _ in self._source.after():  # to the end, where gzip keeps its checksum
                pass
        return Volume(array=array, affine=self._layout.affine, slice_axis=self._layout.slice_axis)

    def close(self) -> None:
        """Close the file."""
        self._stack.close()


class SeriesWriter(SteppedWriter):
    """A result in the container, type and scaling of its source, written some volumes at a time.

    Every byte but the voxels' is the source's; voxels that are bitwise what was read keep their stored number. The name
    decides on compression (.gz, .mgz); a pair is written as a pair.

    Args:
        case: the case that was read.
        destination: the file; of a pair, header or image.

    Raises:
        InputError: The source cannot be read any more. The methods raise it, too.
        OutputError: The destination is an input, asks for another format or cannot be written, or an array is not
            finite where the source is. The methods raise it, too. After an error, nothing is left of the file.
    """

    def __init__(self, case: Case, destination: Path) -> None:
        super().__init__(_write_steps(case, destination))


def _write_steps(case: Case, destination: Path) -> Generator[None, np.ndarray | None, list[Path]]:
    """Take arrays until the source has no more volumes, then None to finish."""
    sources = _files(case.sources)
    layout = layout_of(sources)
    targets = _targets(destination, layout)
    with ExitStack() as stack:
        temporary = [stack.enter_context(write_beside(target, sources)) for target in targets]
        for extra, path in zip(_copied(layout), temporary, strict=False):
            _copy(extra, path)
        source, out = stack.enter_context(open_voxels(layout)), stack.enter_context(packing(temporary[-1]))
        out.write(source.before())
        left = layout.shape[3]
        while (array := (yield)) is not None:
            if array.shape[1:] != layout.shape[:3] or len(array) > left:
                raise ValueError(f"array of shape {array.shape} for {layout.header_path}, which has {layout.shape}")
            left -= len(array)
            for volume in array:
                _write_volume(layout, volume, source, out)
        if left:
            raise ValueError(f"{left} volumes are missing for {layout.header_path}, which has {layout.shape}")
        for chunk in source.after():
            out.write(chunk)
    return targets


def read_array(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a file as a plain array: a mask, a map of the noise level, or a reference.

    Args:
        path: NIfTI, Analyze or MGH file.

    Returns:
        float32 array (X, Y, Z), or (X, Y, Z, T) for several volumes, in real-world units, and the 4 x 4 affine to
        RAS+ mm.

    Raises:
        InputError: The file cannot be read, or is no such image.
    """
    with SeriesReader(Case(kind="nifti", sources=(path,), output=Path(path.name), label=path.name)) as series:
        volume = series.take(series.count)
    array = np.moveaxis(volume.array, 0, -1)
    return (array[..., 0] if array.shape[-1] == 1 else array), volume.affine


def _files(sources: tuple[Path, ...]) -> tuple[Path, ...]:
    """Complete a pair of which only one file was named."""
    if len(sources) == 1:
        return pair_of(sources[0]) or sources
    return sources


def _values(stored: np.ndarray, layout: Layout) -> np.ndarray:
    try:
        values = to_values(stored, layout.slope, layout.inter)
    except OverflowError as error:
        raise InputError(f"{layout.data_path}: {error}; rescale the image") from error
    if layout.inter == 0 and vanishes(stored, values):
        raise InputError(f"{layout.data_path}: values below the range of float32; rescale the image")
    return values


def _copied(layout: Layout) -> list[Path]:
    """Files of the case that are copied as they are: the header of a pair, and SPM's matrix if there is one."""
    if layout.header_path == layout.data_path:
        return []
    matrix = matrix_of(layout.header_path)
    return [layout.header_path, matrix] if matrix else [layout.header_path]


def _targets(destination: Path, layout: Layout) -> list[Path]:
    """Names of the copied files, then of the data file."""
    if refusal := asks_for_another_format(layout.header_path, destination):
        raise OutputError(refusal)
    if layout.header_path == layout.data_path:
        return [destination]
    packed = destination.suffix.lower() == ".gz"
    bare = destination.with_suffix("") if packed else destination
    ending = ".gz" if packed else ""
    copied = [bare.with_suffix(".hdr" + ending)]
    if len(_copied(layout)) > 1:
        copied.append(bare.with_suffix(".mat"))
    return [*copied, bare.with_suffix(".img" + ending)]


def _copy(source: Path, target: Path) -> None:
    """Copy the unpacked bytes of a file."""
    with ExitStack() as stack:
        with reading(source):
            stream = stack.enter_context(open_bytes(source))
        shutil.copyfileobj(stream, stack.enter_context(packing(target)))


def _write_volume(layout: Layout, volume: np.ndarray, source: VoxelStream, out: IO[bytes]) -> None:
    """Write a 3D volume in place of the source's next one."""
    for planes, stored in source.slabs():
        try:
            changed = to_stored(volume[:, :, planes], stored, layout.slope, layout.inter)
        except ValueError as error:
            raise OutputError(f"{layout.data_path}: {error}; nothing was written") from error
        out.write(changed.tobytes(order="F"))
