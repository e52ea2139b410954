"""Names of the files that make up one Analyze or NIfTI pair: header, image, and SPM's matrix."""

from __future__ import annotations

from pathlib import Path


def pair_of(path: Path) -> tuple[Path, Path] | None:
    """Find header and image of an Analyze or NIfTI pair from either of them.

    Args:
        path: a file named .hdr or .img, perhaps with .gz.

    Returns:
        (header, image), or None when the name is another or its partner is missing.
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


def matrix_of(header_path: Path) -> Path | None:
    """Find the .mat file in which SPM keeps the affine of an Analyze pair.

    Args:
        header_path: the .hdr or .hdr.gz file.

    Returns:
        Its path, or None where there is none.
    """
    bare = header_path.with_suffix("") if header_path.suffix.lower() == ".gz" else header_path
    matrix = bare.with_suffix(".mat")
    return matrix if matrix.is_file() else None
