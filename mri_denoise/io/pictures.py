"""Read and write PNG, JPEG, BMP and TIFF pictures through Pillow: one grey slice each, 8 or 16 bit.

Colour becomes grey as in the paper (ITU-R BT.601 luma, Pillow's ``L``; equal channels keep exactly their value), alpha
is dropped. Pixels stay as they are stored: an EXIF orientation is kept as a tag, not applied (TIFF is the exception,
where Pillow turns the pixels and the tag is not written again). Files with several pages are refused.
"""

from __future__ import annotations

import shutil
import struct
import warnings
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from mri_denoise.errors import InputError, OutputError
from mri_denoise.io.bounded import BoundedFile
from mri_denoise.io.case import Case
from mri_denoise.io.files import reading, write_beside
from mri_denoise.io.formats import VolumeReader, VolumeWriter
from mri_denoise.io.stepped import SteppedWriter
from mri_denoise.io.whole import WholeReader, WholeWriter
from mri_denoise.volume import Volume

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")
_LOSSLESS_TIFF = ("raw", "packbits", "tiff_lzw", "tiff_deflate", "tiff_adobe_deflate")
_PHOTOMETRIC = 262  # TIFF tag; 0: small numbers are white
# what Pillow's decoders raise on broken files
_DAMAGE = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    struct.error,
    zlib.error,
)
# TIFF tags kept: description, make, model, software, date, artist
_TIFF_TEXT = (270, 271, 272, 305, 306, 315)


def open_reader(case: Case) -> VolumeReader:
    """Open a picture for reading; see `mri_denoise.io.reading.open_reader`."""
    with _opened(case.sources[0]) as image:
        voxels = image.width * image.height
    return WholeReader(partial(read, case), count=1, volume_voxels=voxels)


def open_writer(case: Case, destination: Path, *, keep_vendor_headers: bool = False) -> VolumeWriter:
    """Open a result for writing; see `mri_denoise.io.writing.open_writer`. There are no vendor headers."""
    return WholeWriter(lambda array, derivation: write(case, array, destination))


def open_map(case: Case, destination: Path, *, affine: np.ndarray, count: int) -> SteppedWriter:
    """Open a map for writing as a float32 TIFF; see `mri_denoise.io.writing.open_map`."""
    return SteppedWriter(_map_steps(case, destination))


def read(case: Case) -> Volume:
    """Read one picture as grey.

    Args:
        case: sources[0] is the picture.

    Returns:
        Array float32 (1, H, W, 1): 0 to 255 with white_level 255, or 0 to 65535 for 16-bit grey without white_level.
        The affine is the identity.

    Raises:
        InputError: The file is not such a picture, is truncated, has several pages, is 16-bit colour or more than
            16 bits deep, is larger than Pillow's limit against decompression bombs, or cannot be opened.
    """
    _, grey = _load(case.sources[0])
    white = 255.0 if grey.dtype == np.uint8 else None
    return Volume(
        array=grey.astype(np.float32)[np.newaxis, :, :, np.newaxis], affine=np.eye(4), white_level=white, picture=True
    )


def write(case: Case, array: np.ndarray, destination: Path) -> list[Path]:
    """Write a grey picture in the bit depth of the source and, unless the name asks for another, in its format.

    An array that is bitwise what `read` gave copies the source file as it is. Resolution (dpi), EXIF and grey ICC
    profiles are kept. JPEG is written with quality 95.

    Args:
        case: the case that was read.
        array: float32 (1, H, W, 1); rounded to the nearest and clipped to the range of the bit depth. H and W may
            differ from the source's.
        destination: the file.

    Returns:
        The file written.

    Raises:
        InputError: The source cannot be read any more.
        OutputError: The destination is the source or cannot be written, its format cannot hold 16 bits, or the array
            is not finite.
    """
    source = case.sources[0]
    pixels = array[0, :, :, 0]
    if not np.isfinite(pixels).all():
        raise OutputError(f"{destination}: the result holds NaN or infinity; nothing was written")
    image, grey = _load(source)
    form = _format(image, source, destination)
    unchanged = form == _name(image) and np.array_equal(grey, pixels)
    if grey.dtype == np.uint16 and form not in ("PNG", "TIFF"):
        raise OutputError(f"{destination}: {form} holds 8 bits and the image has 16; name the output .png or .tif")
    with write_beside(destination, case.sources) as temporary:
        if unchanged:
            shutil.copyfile(source, temporary)
        else:
            limit = np.iinfo(grey.dtype).max
            rounded = np.clip(np.rint(pixels), 0, limit).astype(grey.dtype)
            Image.fromarray(rounded).save(temporary, format=form, **_options(image, form))
    return [destination]


def _map_steps(case: Case, path: Path) -> Generator[None, np.ndarray | None, list[Path]]:
    """Take the one array of a picture, then None."""
    with write_beside(path, case.sources) as temporary:
        while (array := (yield)) is not None:
            Image.fromarray(np.ascontiguousarray(array[0, :, :, 0], dtype=np.float32)).save(temporary, format="TIFF")
    return [path]


def read_map(path: Path) -> np.ndarray:
    """Read a map that was written beside a picture, as the removed noise.

    Args:
        path: a TIFF of one real number a pixel.

    Returns:
        float32 (H, W, 1).

    Raises:
        InputError: if it is not such a file, or cannot be read.
    """
    with _opened(path, real=True) as image:
        return np.asarray(image, dtype=np.float32)[:, :, np.newaxis]


def _load(path: Path) -> tuple[Image.Image, np.ndarray]:
    """Open and decode a picture: Pillow's object, and grey pixels."""
    with _opened(path) as image:
        return image, _grey(image)


@contextmanager
def _opened(path: Path, *, real: bool = False) -> Iterator[ImageFile.ImageFile]:
    """Open a picture, or a map of real numbers; every way of being broken becomes one line, here and in the block."""
    try:
        with reading(path), warnings.catch_warnings(), BoundedFile(path) as file:
            warnings.simplefilter("ignore")  # Pillow's remarks on broken metadata
            try:
                image = Image.open(file, formats=["PNG", "JPEG", "BMP", "TIFF"])
                if Image.MAX_IMAGE_PIXELS and image.width * image.height > Image.MAX_IMAGE_PIXELS:
                    raise Image.DecompressionBombError  # Pillow only warns up to twice as many
                _refuse(image, path, real=real)
                yield image
            except UnidentifiedImageError as error:
                raise InputError(f"{path}: not a PNG, JPEG, BMP or TIFF that can be read; check the file") from error
            except InputError:
                raise
            except _DAMAGE as error:
                raise InputError(f"{path}: truncated or damaged picture; copy or download it again") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{path}: more than {Image.MAX_IMAGE_PIXELS} pixels; cut it into parts") from error


def _refuse(image: ImageFile.ImageFile, path: Path, *, real: bool) -> None:
    """Refuse several pages, pixels that Pillow would silently cut to 8 bits, and depths other than 8 and 16 bits.

    Of maps, refuse all but real numbers.
    """
    pages = 1 if _name(image) == "JPEG" else getattr(image, "n_frames", 1)
    if pages > 1:
        raise InputError(f"{path}: {pages} pages in one file; save each page as a file of its own")
    # a tile ends in the decoder's arguments, the first of which is how the pixels are packed in the file
    packing = [tile[3] if isinstance(tile[3], str) else (tile[3] or ("",))[0] for tile in image.tile]
    deep = image.format in ("PNG", "TIFF") and any("16" in str(name) for name in packing)
    if deep and image.mode not in _SIXTEEN_BIT:
        raise InputError(f"{path}: 16-bit colour or signed pixels; save it as 16-bit grey")
    if real:
        if image.mode != "F":
            raise InputError(f"{path}: is no map of real numbers; denoise the picture again")
    elif image.mode in ("I", "F"):
        raise InputError(f"{path}: pixels of more than 16 bits; save it as 16-bit grey or NIfTI")


def _grey(image: Image.Image) -> np.ndarray:
    """Pixels (H, W) as uint8, or uint16 for 16-bit grey."""
    if image.mode in _SIXTEEN_BIT:
        grey = np.array(image).astype(np.uint16)
        tags = getattr(image, "tag_v2", {})
        # Pillow turns white-is-zero round for 8 bits but not for 16
        return np.uint16(65535) - grey if tags.get(_PHOTOMETRIC) == 0 else grey
    if image.mode not in ("1", "L", "RGB"):
        image = image.convert("RGB")
    return np.array(image.convert("L"))


def _name(image: Image.Image) -> str:
    """Pillow's name of the format; MPO is JPEG with more pictures after the first."""
    return "JPEG" if image.format == "MPO" else str(image.format)


def _format(image: Image.Image, source: Path, destination: Path) -> str:
    """The format that the destination names; that of the source if both have the same extension."""
    if destination.suffix.lower() == source.suffix.lower():
        return _name(image)
    return FORMATS.get(destination.suffix.lower(), _name(image))


def _options(image: Image.Image, form: str) -> dict[str, Any]:
    """Options for Pillow's writer that keep properties of the source."""
    options: dict[str, Any] = {}
    if form == "JPEG":
        options.update(quality=95, subsampling=0)
    elif form == "TIFF":
        compression = image.info.get("compression", "raw")
        options["compression"] = compression if compression in _LOSSLESS_TIFF else "tiff_adobe_deflate"
        tags = getattr(image, "tag_v2", {})
        options["tiffinfo"] = {tag: tags[tag] for tag in _TIFF_TEXT if tag in tags}
    dpi = tuple(float(value) for value in image.info.get("dpi", ()))
    if dpi and all(0 < value < np.inf for value in dpi):
        options["dpi"] = dpi
    profile = image.info.get("icc_profile")
    if profile and profile[16:20] == b"GRAY" and form != "BMP":
        options["icc_profile"] = profile
    if image.info.get("exif") and form in ("PNG", "JPEG"):
        options["exif"] = image.info["exif"]
    return options
