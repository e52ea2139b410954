"""Find header, voxels and trailing bytes in NIfTI-1/2, Analyze and MGH files; nibabel interprets the header."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.freesurfer.mghformat import DATA_OFFSET, MGHHeader
from nibabel.nifti1 import Nifti1PairHeader
from nibabel.nifti2 import Nifti2PairHeader
from nibabel.spatialimages import HeaderDataError

from mri_denoise.errors import InputError
from mri_denoise.io.files import reading
from mri_denoise.io.packed import GZIP_MAGIC, open_bytes
from mri_denoise.volume import spans_space

# a deflate stream expands at most 1032-fold (zlib's technical notes): larger claims are refused before any reading
_DEFLATE_LIMIT = 1032
_LARGEST = 64 * 2**30
_MILLIMETRES = {"meter": 1000.0, "micron": 0.001}
_NIFTI1 = {b"n+1\0": nib.Nifti1Header, b"ni1\0": Nifti1PairHeader}
_NIFTI2 = {b"n+2\0": nib.Nifti2Header, b"ni2\0": Nifti2PairHeader}


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where the parts of a file, or of a pair of header and image, lie on disk.

    Args:
        header_path: the file with the header.
        data_path: the file with the voxels; for single-file formats the same.
        shape: (X, Y, Z, T); all axes past the third are folded into T, the fourth running fastest.
        dtype: stored type with its byte order.
        offset: bytes before the first voxel in the unpacked data file.
        slope: multiplier of stored numbers; 1 if the header defines none.
        inter: offset in real-world units.
        affine: 4 x 4 float64, voxel index to RAS+ millimetres.
        slice_axis: the spatial axis across slices if the header names one that agrees with the voxel size.
    """

    header_path: Path
    data_path: Path
    shape: tuple[int, int, int, int]
    dtype: np.dtype
    offset: int
    slope: float
    inter: float
    affine: np.ndarray
    slice_axis: int | None

    @property
    def volume_bytes(self) -> int:
        """Bytes of one 3D volume."""
        return math.prod(self.shape[:3]) * self.dtype.itemsize


def layout_of(sources: tuple[Path, ...]) -> Layout:
    """Read a header, and check that the file can hold the voxels it describes and that this package can read them.

    Args:
        sources: the file, or (header, image).

    Returns:
        The layout. No voxel is read.

    Raises:
        InputError: The file is not an image, is RGB or complex, has an unknown or too wide type or an impossible size,
            or is shorter than its header says.
    """
    header_path, data_path = sources[0], sources[-1]
    with reading(header_path), open_bytes(header_path) as stream:
        head = stream.read(540)
    if not head:
        raise InputError(f"{header_path}: empty file; copy or download it again")
    header = _header(head)
    if header is None:
        raise InputError(f"{header_path}: not a NIfTI, Analyze or MGH image; check the file")
    if isinstance(header, MGHHeader) or getattr(header, "is_single", False):
        data_path = header_path
    elif data_path == header_path:
        raise InputError(f"{header_path}: its .hdr or .img partner is missing; put both into one folder")
    try:
        dtype, shape = _dtype(header), _shape(header)
        slope, inter = _scaling(header)
        offset = _offset(header)
        affine = _affine(header, header_path)
    except (HeaderDataError, ValueError, OverflowError) as error:
        raise InputError(f"{header_path}: {' '.join(str(error).split())}; such an image cannot be denoised") from error
    layout = Layout(
        header_path=header_path,
        data_path=data_path,
        shape=shape,
        dtype=dtype,
        offset=offset,
        slope=slope,
        inter=inter,
        affine=affine,
        slice_axis=_slice_axis(header, affine),
    )
    _check_size(layout)
    return layout


def nifti_header(path: Path) -> nib.Nifti1Header | None:
    """Read the header of a NIfTI file, or of a pair, for new files in its grid.

    Args:
        path: the file, or the header of a pair; its content tells what it is, whatever its name.

    Returns:
        It as that of a single file whose place of the voxels is not set, with its extensions, unless they cannot be
        read. None if the file is none of NIfTI's.

    Raises:
        InputError: The file cannot be read.
    """
    with reading(path), open_bytes(path) as stream:
        head = stream.read(540)
        found = _header(head)
        if not isinstance(found, nib.Nifti1Header):
            return None
        end = _offset(found) if found.is_single else None
        after = (head + (stream.read() if end is None else stream.read(max(end - len(head), 0))))[
            found.sizeof_hdr : end
        ]
    kind = nib.Nifti2Header if isinstance(found, nib.Nifti2Header) else nib.Nifti1Header
    header: nib.Nifti1Header = kind(found.binaryblock, endianness=found.endianness, check=False)
    header["magic"], header["vox_offset"] = header.single_magic, 0
    if after[:1] not in (b"", b"\0"):
        swapped = header.endianness != nib.volumeutils.native_code
        # what is damaged, or only looks like extensions, raises many kinds of errors in nibabel and in its parsers
        with suppress(Exception):
            header.extensions = header.exts_klass.from_fileobj(io.BytesIO(after[4:]), len(after) - 4, swapped)
    return header


def matrix_of(header_path: Path) -> Path | None:
    """Find the .mat file in which SPM keeps the affine of an Analyze pair.

    Args:
        header_path: the .hdr or .hdr.gz file.

    Returns:
        Its path, or None if there is none.
    """
    bare = header_path.with_suffix("") if header_path.suffix.lower() == ".gz" else header_path
    matrix = bare.with_suffix(".mat")
    return matrix if matrix.is_file() else None


def _header(head: bytes) -> nib.Nifti1Header | nib.AnalyzeHeader | MGHHeader | None:
    """Choose the header class by content: size field, magic number, version."""
    if head[:4] == b"\0\0\0\1" and len(head) >= 90:
        return MGHHeader(head[:DATA_OFFSET], check=False)
    for endianness, order in (("<", "little"), (">", "big")):
        size = int.from_bytes(head[:4], order)  # type: ignore[arg-type]
        if size == 540 and len(head) >= 540 and head[4:8] in _NIFTI2:
            return _NIFTI2[head[4:8]](head[:540], endianness=endianness, check=False)
        if size == 348 and len(head) >= 348:
            kind = _NIFTI1.get(head[344:348], nib.Spm2AnalyzeHeader)
            return kind(head[:348], endianness=endianness, check=False)
    return None


def _dtype(header: nib.AnalyzeHeader | MGHHeader) -> np.dtype:
    """Stored type; ValueError if a voxel does not hold a single real number."""
    try:
        dtype = np.dtype(header.get_data_dtype())
    except (HeaderDataError, KeyError) as error:
        raise ValueError("unknown data type") from error
    if dtype.fields is not None:
        raise ValueError("RGB colour voxels")
    if dtype.kind == "c":
        raise ValueError("complex voxels (export the magnitude)")
    if dtype.kind not in "iuf":
        raise ValueError("unknown data type")
    if dtype.itemsize > 8:
        raise ValueError("128-bit voxels")
    return dtype


def _shape(header: nib.AnalyzeHeader | MGHHeader) -> tuple[int, int, int, int]:
    """(X, Y, Z, T); missing axes are 1, axes past the fourth are folded into it."""
    if isinstance(header, nib.AnalyzeHeader) and not 1 <= int(header["dim"][0]) <= 7:
        raise ValueError(f"{int(header['dim'][0])} dimensions")
    shape = [int(n) for n in header.get_data_shape()]
    if any(n < 1 for n in shape):
        raise ValueError(f"shape {' x '.join(map(str, shape))}")
    shape += [1] * (3 - len(shape))
    return shape[0], shape[1], shape[2], math.prod(shape[3:])


def _scaling(header: nib.AnalyzeHeader | MGHHeader) -> tuple[float, float]:
    """Slope and intercept; (1, 0) if the header says that stored numbers are the values."""
    if isinstance(header, MGHHeader):
        return 1.0, 0.0
    slope, inter = header.get_slope_inter()
    return (1.0, 0.0) if slope is None else (float(slope), float(inter or 0.0))


def _offset(header: nib.AnalyzeHeader | MGHHeader) -> int:
    """Bytes before the first voxel."""
    if isinstance(header, MGHHeader):
        return DATA_OFFSET
    offset = int(header["vox_offset"])  # ValueError or OverflowError for NaN and infinity
    if isinstance(header, nib.Nifti1Header) and header.is_single:
        smallest = header.single_vox_offset
        offset = offset or smallest
        if offset < smallest:
            raise ValueError(f"vox_offset {offset} lies inside the header")
    if offset < 0:
        raise ValueError(f"negative vox_offset {offset}")
    return offset


def _affine(header: nib.AnalyzeHeader | MGHHeader, path: Path) -> np.ndarray:
    """Voxel index to RAS+ mm; by the voxel size alone if qform and sform cannot be used."""
    affine = next((found for found in _affines(header, path) if spans_space(found)), np.eye(4))
    if isinstance(header, nib.Nifti1Header):
        try:
            unit = header.get_xyzt_units()[0]
        except KeyError:
            unit = "unknown"
        affine[:3] *= _MILLIMETRES.get(unit, 1.0)
    return affine


def _affines(header: nib.AnalyzeHeader | MGHHeader, path: Path) -> Iterator[np.ndarray]:
    """What a header says of the space, the best first; some programs set sform_code and leave its matrix zero."""
    if isinstance(header, nib.Spm2AnalyzeHeader) and matrix_of(path):
        # a .mat of the same name need not be SPM's, and scipy raises many kinds of errors on foreign ones
        with suppress(Exception):
            yield np.array(nib.Spm2AnalyzeImage.from_filename(str(path)).affine, dtype=np.float64)
    with suppress(HeaderDataError, ValueError, np.linalg.LinAlgError):
        yield np.array(header.get_best_affine(), dtype=np.float64)
    if isinstance(header, nib.Nifti1Header) and int(header["qform_code"]) > 0:
        with suppress(HeaderDataError, ValueError, np.linalg.LinAlgError):
            yield np.array(header.get_qform(), dtype=np.float64)
    if not isinstance(header, MGHHeader):
        yield np.array(header.get_base_affine(), dtype=np.float64)


def _slice_axis(header: nib.AnalyzeHeader | MGHHeader, affine: np.ndarray) -> int | None:
    """The slice axis of dim_info; None if voxels are thicker along another axis, as after a rotation."""
    if not isinstance(header, nib.Nifti1Header):
        return None
    axis = header.get_dim_info()[2]
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    return axis if axis is not None and spacing[axis] >= 0.99 * spacing.max() else None


def _check_size(layout: Layout) -> None:
    """Refuse a header that claims more than its file can hold, before memory is allocated."""
    path = layout.data_path
    needed = layout.offset + layout.volume_bytes * layout.shape[3]
    with reading(path), open(path, "rb") as file:
        packed = file.read(2) == GZIP_MAGIC
        held = file.seek(0, 2)
    size = " x ".join(map(str, layout.shape))
    if needed > (held * _DEFLATE_LIMIT if packed else held):
        raise InputError(f"{path}: truncated, its header promises {size} voxels; copy or download it again")
    if needed > _LARGEST:
        raise InputError(f"{path}: {size} voxels are more than 64 GiB; cut it into parts")
