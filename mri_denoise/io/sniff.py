"""What a file is, by its first bytes; its name only tells a broken image from a file that is no image."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Literal

from mri_denoise.io.archive import is_zip
from mri_denoise.io.packed import open_bytes

Content = Literal["volume", "pair", "picture", "dicom", "zip", "other"]
"""A NIfTI or MGH file, the header of a pair, a picture, a DICOM object, a zip file, or none of these."""

_CONTAINERS = ((".nii", ".nii.gz"), (".mgh", ".mgz"), (".hdr", ".img", ".hdr.gz", ".img.gz"))
_VOLUME_ENDINGS = tuple(ending for endings in _CONTAINERS for ending in endings)
_PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
_DICOM_ENDINGS = (".dcm", ".ima", ".dicom", ".mr")
# files that often lie beside images and are none: not worth a line each
_SIDECAR_ENDINGS = (
    *(".json", ".tsv", ".csv", ".txt", ".bval", ".bvec", ".md", ".rst", ".pdf", ".html", ".log"),
    *(".yaml", ".yml", ".xml", ".toml", ".cfg", ".ini", ".py", ".sh", ".m", ".db"),
)
_SIDECAR_NAMES = ("readme", "changes", "license", "citation.cff", "dicomdir", "makefile", "dockerfile")
_PICTURE_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_HEAD_BYTES = 352


def content_of(path: Path) -> Content:
    """Tell what a file holds from its first bytes, unpacked where they are gzip.

    Raises:
        OSError: The file cannot be read. Damaged gzip data raise what `mri_denoise.io.files.reading` translates.
    """
    name = path.name.lower()
    with open_bytes(path) as stream:
        head = stream.read(_HEAD_BYTES)
    if _has_preamble(head):
        return "dicom"
    if is_zip(path, head):
        return "zip"
    if head.startswith(_PICTURE_MAGIC) or (head[:2] == b"BM" and head[6:10] == bytes(4) and len(head) > 26):
        return "picture"
    pair: Content = "pair" if name.endswith((".hdr", ".hdr.gz")) else "other"
    sizes = (int.from_bytes(head[:4], "little"), int.from_bytes(head[:4], "big"))
    if 348 in sizes and len(head) >= 348:
        return "volume" if head[344:348] == b"n+1\0" else pair
    if 540 in sizes and head[4:7] in (b"n+2", b"ni2"):
        return "volume" if head[4:7] == b"n+2" else pair
    if sizes[1] == 1 and name.endswith((".mgh", ".mgz", ".mgh.gz")):
        return "volume"
    return "dicom" if pair_of(path) is None and _is_bare_dicom(path, head) else "other"


def is_dicom(path: Path) -> bool:
    """Whether a file is a DICOM object: ``DICM`` after the preamble (PS3.10 7.1), or a data set without one."""
    try:
        with path.open("rb") as file:
            head = file.read(132)
    except OSError:
        return False
    return _has_preamble(head) or _is_bare_dicom(path, head)


def named_like_image(path: Path) -> bool:
    """Whether the name ends like that of an image."""
    return path.name.lower().endswith(_VOLUME_ENDINGS + _PICTURE_ENDINGS + _DICOM_ENDINGS)


def asks_for_another_format(source: Path, destination: Path, *, picture: bool = False) -> str:
    """Say why a result cannot have a name.

    Args:
        source: a volume's file, or the header of a pair; or a picture.
        destination: the file that its result would be.
        picture: whether the source is a picture, which may become one of another kind.

    Returns:
        What to do, in one line; empty if the name will do, or that of a volume tells no format.
    """
    for endings in (_PICTURE_ENDINGS,) if picture else _CONTAINERS:
        if (picture or source.name.lower().endswith(endings)) and not destination.name.lower().endswith(endings):
            what = "a picture stays one" if picture else "the image keeps its format"
            return f"{destination}: {what}; name the output {' or '.join(endings)}"
    return ""


def is_sidecar(path: Path) -> bool:
    """Whether the name is that of a file that often lies beside images and is none."""
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(".mat"):  # SPM keeps the affine of an Analyze pair there
        return path.with_suffix(".hdr").is_file()
    return name.endswith(_SIDECAR_ENDINGS) or name in _SIDECAR_NAMES


def pair_of(path: Path) -> tuple[Path, Path] | None:
    """Find header and image of an Analyze or NIfTI pair from either of them.

    Args:
        path: a file named .hdr or .img, perhaps with .gz.

    Returns:
        (header, image), or None if the name is another or the partner is missing.
    """
    packed = path.suffix.lower() == ".gz"
    bare = path.with_suffix("") if packed else path
    if bare.suffix.lower() not in (".hdr", ".img"):
        return None
    is_header = bare.suffix.lower() == ".hdr"
    partner = ".img" if is_header else ".hdr"
    if bare.suffix.isupper():
        partner = partner.upper()
    for ending in (".gz", "") if packed else ("", ".gz"):
        other = bare.with_suffix(partner + ending)
        if other.is_file():
            return (path, other) if is_header else (other, path)
    return None


def _has_preamble(head: bytes) -> bool:
    return head[128:132] == b"DICM"


def _is_bare_dicom(path: Path, head: bytes) -> bool:
    """Whether a file without preamble begins like a data set and parses as a DICOM object.

    A data set begins with group 0002 or 0008, in either byte order, and a small element number.
    """
    if len(head) < 8:
        return False
    tags = (struct.unpack("<HH", head[:4]), struct.unpack(">HH", head[:4]))
    if not any(
        (group in (0x0002, 0x0008) and element < 0x0100 and head[4:6] != b"\0\0")
        or (group, element) == (0x0008, 0x0005)
        for group, element in tags
    ):
        return False
    import pydicom

    try:
        header = pydicom.dcmread(path, force=True, stop_before_pixels=True, specific_tags=["SOPClassUID"])
    except Exception:  # pydicom raises what its parser happens to meet in foreign bytes
        return False
    return "SOPClassUID" in header
