"""Images in and out: find cases, read them to `Volume`, write results with the source's headers.

Importing this package loads none of the format libraries; each is loaded by the first case that needs it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mri_denoise.io.case import Case, Derivation, Skip
from mri_denoise.io.discover import discover

if TYPE_CHECKING:
    import numpy as np

    from mri_denoise.volume import Volume

__all__ = ["Case", "Derivation", "Skip", "discover", "read", "write"]


def read(case: Case) -> Volume:
    """Read a case with the reader of its kind.

    Args:
        case: from `discover`.

    Returns:
        The pixels, float32 (T, X, Y, Z) in real-world units, with their geometry.

    Raises:
        InputError: in one line, for whatever is wrong with the files.
    """
    if case.kind == "dicom":
        from mri_denoise.io.dicom import read as dicom_read

        return dicom_read.read(case)
    if case.kind == "image":
        from mri_denoise.io import pictures as images

        return images.read(case)
    from mri_denoise.io.nifti import image as nifti

    return nifti.read(case)


def write(
    case: Case, array: np.ndarray, destination: Path, derivation: Derivation, *, keep_vendor_headers: bool = False
) -> list[Path]:
    """Write a result with the writer of the case's kind, headers and stored type as in the source.

    Args:
        case: the case that was read.
        array: float32 (T, X, Y, Z), as `read` gave it.
        destination: the file; for DICOM the folder of the derived series, or a file named as NIfTI.
        derivation: how the result came about; recorded by DICOM.
        keep_vendor_headers: of DICOM, keep private blocks that describe the old pixels (Siemens CSA).

    Returns:
        The files written.

    Raises:
        InputError: `files.OutputError` when the result cannot be written.
    """
    if case.kind == "dicom" and destination.name.lower().endswith((".nii", ".nii.gz")):
        from mri_denoise.io.dicom import to_nifti as dicom_nifti

        return dicom_nifti.write(case, array, destination)
    if case.kind == "dicom":
        from mri_denoise.io.dicom import write as dicom_write

        return dicom_write.write(case, array, destination, derivation, keep_vendor_headers=keep_vendor_headers)
    if case.kind == "image":
        from mri_denoise.io import pictures as images

        return images.write(case, array, destination)
    from mri_denoise.io.nifti import image as nifti

    return nifti.write(case, array, destination)
