"""What the intent code of a NIfTI header says of its voxels: labels, vectors and statistics are no images."""

from __future__ import annotations

import struct
from pathlib import Path

from mri_denoise.io.files import reading
from mri_denoise.io.packed import open_bytes

_STATISTICS = range(2, 25)  # nifti1.h: from NIFTI_INTENT_CORREL to NIFTI_INTENT_LOG10PVAL
_OTHERS = {
    1002: "labels",
    1003: "labels",
    1004: "a matrix in each voxel",
    1005: "a matrix in each voxel",
    1006: "a displacement field",
    1007: "a vector field",
    1008: "a set of points",
    1009: "triangles",
    1010: "quaternions",
}


def no_image(path: Path) -> str:
    """Say why a NIfTI file holds no image, by the intent code in its header.

    Args:
        path: the file, or the header of a pair.

    Returns:
        The reason in a few words; empty if the code does not say so, or the file is none of NIfTI's.
    """
    with reading(path), open_bytes(path) as stream:
        head = stream.read(540)
    code = _code(head)
    kind = "statistics" if code in _STATISTICS else _OTHERS.get(code, "")
    return f"{kind}, by its intent code ({code})" if kind else ""


def _code(head: bytes) -> int:
    """The intent code; 0 if there is none."""
    for order in "<>":
        if len(head) >= 540 and struct.unpack(f"{order}i", head[:4])[0] == 540:
            return int(struct.unpack(f"{order}i", head[504:508])[0])
        if len(head) >= 348 and struct.unpack(f"{order}i", head[:4])[0] == 348 and head[344:347] in (b"n+1", b"ni1"):
            return int(struct.unpack(f"{order}h", head[68:70])[0])
    return 0
