"""What a report shows, read back from disk: the images before and after, by the run record that names them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import nibabel as nib
import numpy as np
from PIL import Image

from mri_denoise.bundles.weights import sha256
from mri_denoise.errors import InputError
from mri_denoise.io import discover, open_reader, pictures
from mri_denoise.io.case import Case
from mri_denoise.io.sniff import is_dicom
from mri_denoise.record import FileHash, RunRecord
from mri_denoise.report.planes import orientation_of
from mri_denoise.report.scan import Moment, Scan, zero_of

# the ends of names that `pipeline.files` and BIDS give to maps; a scan itself may be called noise
_NOISE_MAP = re.compile(r"(_noise|_desc-[^_]*sigma_[^_]+)\.(nii\.gz|tif)$")
_RESIDUAL = re.compile(r"(_residual|_desc-[^_]*residual_[^_]+)\.(nii\.gz|tif)$")
_MOST_VOLUMES = 9  # of a series
_MOST_VOXELS = 12_000_000  # of these together; more would not fit into a page


@dataclass(frozen=True, kw_only=True)
class _Image:
    """The first volume of a file or a series and some later ones, turned."""

    array: np.ndarray
    later: Mapping[int, np.ndarray] = field(default_factory=dict)
    affine: np.ndarray
    turn: np.ndarray
    picture: bool
    volumes: int


def load_scan(record: RunRecord, folder: Path, staged: Mapping[str, Path] = MappingProxyType({})) -> Scan:
    """Read the images that a record names.

    Paths of a record are as they were given on the command line. Results are looked for beside the record first, so
    that a folder that was moved or copied keeps its own.

    Args:
        record: of the run.
        folder: where the record lies.
        staged: where files are until they have the names that the record gives them.

    Raises:
        InputError: if a file is missing, has changed since, or does not fit the others.
    """

    def find(path: str) -> Path:
        return staged[path] if path in staged else _find(path, folder)

    after = _open([find(path) for path in record.outputs], record.case)
    before, rebuilt = _before(record, folder, after, find)
    resized = after.picture and bool(record.settings.get("picture_size")) and before.array.shape != after.array.shape
    if resized:
        before = replace(before, array=_resize(before.array, after.array.shape))
    if before.array.shape != after.array.shape:
        shapes = " and ".join("x".join(map(str, image.array.shape)) for image in (before, after))
        raise InputError(f"{record.case}: input and result differ in size ({shapes} voxels); no report of it")
    levels = next(filter(_NOISE_MAP.search, record.companions), None)
    noise = None if levels is None else _open_map(find(levels), record.case, after)
    if noise is not None and noise.array.shape != after.array.shape:
        noise = None
    return Scan(
        record=record,
        before=_finite(before.array, zero_of(record)),
        after=_finite(after.array, zero_of(record)),
        noise_map=None if noise is None else _finite(noise.array),
        affine=after.affine,
        turn=after.turn,
        picture=after.picture,
        volumes=after.volumes,
        later=_later(before, after, noise, zero_of(record)),
        not_finite=int(np.count_nonzero(~np.isfinite(before.array))),
        rebuilt=rebuilt,
        resized=resized,
    )


def _later(before: _Image, after: _Image, noise: _Image | None, zero: float) -> dict[int, Moment]:
    """Volumes that the input and the result both have."""
    maps = {} if noise is None else noise.later
    return {
        number: Moment(
            before=_finite(before.later[number], zero),
            after=_finite(array, zero),
            noise_map=_finite(maps[number]) if number in maps else None,
        )
        for number, array in after.later.items()
        if number in before.later
    }


def _before(record: RunRecord, folder: Path, after: _Image, find: Callable[[str], Path]) -> tuple[_Image, bool]:
    """The input; where it is gone, the result plus the residual, if that was written."""
    try:
        return _open(_find_inputs(record.inputs, folder), record.case), False
    except InputError:
        residual = next(filter(_RESIDUAL.search, record.companions), None)
        if residual is None:
            raise
        removed = _open_map(find(residual), record.case, after)
        if removed.array.shape != after.array.shape:
            raise
    later = {number: array + removed.later[number] for number, array in after.later.items() if number in removed.later}
    return replace(after, array=after.array + removed.array, later=later), True


def _candidates(text: str, folder: Path) -> list[Path]:
    path = Path(text)
    return [folder / path.name, folder / path.parent.name / path.name, path, folder / path]


def _find(text: str, folder: Path) -> Path:
    for path in _candidates(text, folder):
        if path.is_file():
            return path
    raise InputError(f"{text}: no such file, which the run record names; run from the folder where it was denoised")


def _find_inputs(files: Sequence[FileHash], folder: Path) -> list[Path]:
    """The inputs with the content that was denoised, all of them from one kind of place.

    The header of a result is that of its source, byte for byte: beside the record, only its image tells a pair of
    header and image from the source's.
    """
    if not files:
        return []
    places = list(zip(*(_candidates(file.path, folder) for file in files), strict=True))
    whole = [paths for paths in places if all(path.is_file() for path in paths)]
    for paths in whole:
        if all(sha256(path) == file.sha256 for path, file in zip(paths, files, strict=True)):
            return list(paths)
    given = tuple(Path(file.path) for file in files)
    if given in whole:
        changed = next(path for path, file in zip(given, files, strict=True) if sha256(path) != file.sha256)
        raise InputError(f"{changed}: has changed since it was denoised; denoise it again")
    gone = next((path for path in given if not path.is_file()), folder)
    # a path that was given relative to another folder leads nowhere from here
    where = "" if gone.is_absolute() else "run from the folder where it was denoised, "
    raise InputError(f"{gone}: the input is gone; {where}put it back, or denoise it again with --residual")


def _open(paths: Sequence[Path], label: str) -> _Image:
    """Read the volumes of the image that these files are that a page can show."""
    case = _case_of(paths, label)
    arrays: dict[int, np.ndarray] = {}
    with open_reader(case) as reader:
        count = reader.count
        chosen = _choose(count, reader.volume_voxels)
        volume = reader.take(count if reader.whole else 1)
        if reader.whole:
            arrays.update((number, volume.array[number]) for number in chosen)
        else:
            arrays[0] = volume.array[0]
            for number in range(1, max(chosen) + 1):  # a reader goes from volume to volume
                array = reader.take(1).array[0]
                if number in chosen:
                    arrays[number] = array
    first, affine = arrays.pop(0), np.asarray(volume.affine, dtype=np.float64)
    if volume.picture:
        turn = np.array([[0, 1], [1, 1], [2, 1]], dtype=np.float64)
        return _Image(array=first, affine=affine, turn=turn, picture=True, volumes=count)
    turn = orientation_of(affine)
    turned = affine @ nib.orientations.inv_ornt_aff(turn, first.shape)
    later = {number: nib.orientations.apply_orientation(array, turn) for number, array in arrays.items()}
    first = nib.orientations.apply_orientation(first, turn)
    return _Image(array=first, later=later, affine=turned, turn=turn, picture=False, volumes=count)


def _choose(count: int, voxels: int) -> list[int]:
    """The volumes of a series that are read, evenly spaced from the first to the last, the first one first."""
    most = min(count, _MOST_VOLUMES, max(_MOST_VOXELS // max(voxels, 1), 1))
    return [0] if most == 1 else sorted({round(i * (count - 1) / (most - 1)) for i in range(most)})


def _open_map(path: Path, label: str, like: _Image) -> _Image:
    """Read a companion of the result: real numbers, which pictures of other programs do not hold."""
    return replace(like, array=pictures.read_map(path)) if like.picture else _open([path], label)


def _resize(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A picture (rows, columns, 1) at another size: bilinear with antialiasing, as `ResizePictured` does."""
    picture = Image.fromarray(np.ascontiguousarray(array[:, :, 0], dtype=np.float32))
    return np.asarray(picture.resize((shape[1], shape[0]), Image.Resampling.BILINEAR))[:, :, np.newaxis]


def _case_of(paths: Sequence[Path], label: str) -> Case:
    if not paths:
        raise InputError(f"{label}: its run record names no files")
    if is_dicom(paths[0]):
        from mri_denoise.io.dicom.discover import discover as discover_dicom

        root = Path(os.path.commonpath([path.parent.resolve() for path in paths]))
        cases, _ = discover_dicom([path.resolve() for path in paths], root, force=True)
    else:
        cases, _ = discover(paths[0], force=True)
    if len(cases) != 1:
        raise InputError(f"{label}: {paths[0]} and its series hold {len(cases)} images where one is needed")
    return cases[0]


def _finite(array: np.ndarray, fill: float = 0.0) -> np.ndarray:
    return np.nan_to_num(array.astype(np.float32, copy=False), nan=fill, posinf=fill, neginf=fill)
