"""Tell what one file is: an image to denoise, part of a DICOM tree, a zip file, or none of them."""

from __future__ import annotations

import dataclasses
import stat
from pathlib import Path

from mri_denoise.errors import InputError
from mri_denoise.io.absent import why_absent
from mri_denoise.io.case import Case, Skip
from mri_denoise.io.files import reading
from mri_denoise.io.sniff import content_of, is_sidecar, named_like_image, pair_of


@dataclasses.dataclass(frozen=True)
class ZipFile:
    """A zip file, whose content is searched next."""

    path: Path


def case_of(path: Path, root: Path) -> Case | Skip | Path | ZipFile | None:
    """Classify one file: a case, a Skip, the path itself for DICOM, or None for a file not worth a line."""
    name = path.name.lower()
    if path.is_symlink() and not path.exists():
        return None if is_sidecar(path) else Skip(source=path, reason=why_absent(path), damaged=True)
    try:
        with reading(path):
            if not stat.S_ISREG(path.stat().st_mode):
                return None
            content = content_of(path)
    except InputError as error:
        return (
            None if is_sidecar(path) else Skip(source=path, reason=str(error).removeprefix(f"{path}: "), damaged=True)
        )
    if content == "dicom":
        return None if name == "dicomdir" else path
    if content == "zip":
        return ZipFile(path)
    relative = path.relative_to(root)
    if content == "volume":
        return Case(kind="nifti", sources=(path,), output=relative, label=relative.as_posix())
    if content == "picture":
        return Case(
            kind="picture",
            sources=(path,),
            output=relative.with_name(f"denoised_{path.name}"),
            label=relative.as_posix(),
        )
    if content == "pair" or name.endswith((".img", ".img.gz")):
        return _pair_case(path, root)
    if is_sidecar(path):
        return None
    if absent := why_absent(path):
        return Skip(source=path, reason=absent, damaged=True)
    if named_like_image(path):
        return Skip(source=path, reason="named like an image, but its content is none", damaged=True)
    return Skip(
        source=path, reason="not an image format that is read (NIfTI, Analyze, MGH, DICOM, PNG, JPEG, BMP, TIFF)"
    )


def _pair_case(path: Path, root: Path) -> Case | Skip | None:
    """The case of a header; None for its image, which the header already stands for."""
    pair = pair_of(path)
    if pair is None:
        return Skip(source=path, reason="its .hdr or .img partner is missing", damaged=True)
    header, image = pair
    if path != header:
        return None
    relative = header.relative_to(root)
    return Case(kind="nifti", sources=(header, image), output=relative, label=relative.as_posix())
