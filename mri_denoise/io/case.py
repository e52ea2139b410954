"""What every reader hands on and every writer takes back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np  # the command line answers faster without

Kind = Literal["nifti", "image", "dicom"]


class InputError(ValueError):
    """Bad input, in one line that a user can act on: which file, what is wrong with it, what to do."""


@dataclass(frozen=True)
class Case:
    """One image that is read, denoised and written as a whole.

    Args:
        kind: the family of formats, which chooses reader and writer.
        sources: the files it is read from, each once; for DICOM in the order of the slices.
        output: where the result goes, relative to the output folder: a file (``sub-01/anat/sub-01_T1w.nii.gz``), or for
            DICOM the folder of the derived series.
        label: how messages and records name it.
        details: what only the format's own reader and writer know and need (for instance the DICOM volume group).
    """

    kind: Kind
    sources: tuple[Path, ...]
    output: Path
    label: str
    details: Any = field(default=None, compare=False)


@dataclass(frozen=True)
class Skip:
    """A file that is left alone, with the reason in one line.

    Args:
        source: the file.
        reason: why.
        damaged: whether it should have been an image but is not whole; such a file counts as failed, the others are
            left alone on purpose.
    """

    source: Path
    reason: str
    damaged: bool = False


@dataclass
class Volume:
    """Pixels with the geometry that processing needs; headers stay with the format's writer.

    Args:
        array: float32, shape (T, X, Y, Z): T volumes that are never mixed, in the file's real-world units (slope and
            intercept applied). NaN and infinity are kept. 2D images have shape (1, H, W, 1).
        affine: 4 x 4 float64, voxel index to RAS+ millimetres; the identity where the file has none.
        slice_axis: the spatial axis (0, 1, 2) across slices where the file says so (DICOM: 2), otherwise None.
        contiguous: whether neighbouring slices may serve as context for one another.
        white_level: the value of white in files that define it (255 for 8-bit pictures), otherwise None.
    """

    array: np.ndarray
    affine: np.ndarray
    slice_axis: int | None = None
    contiguous: bool = True
    white_level: float | None = None


@dataclass(frozen=True)
class Derivation:
    """How a result came about: what a DICOM writer records and derives the new identifiers from.

    Args:
        model: name of the model or method.
        version: version of the model.
        weights_sha256: SHA-256 of its weights as hexadecimal digits, empty for a method without weights.
        sigma: noise level that was assumed, with its unit or origin, as text for a reader.
        strength: 0 (input unchanged) to 1 (full result).
        software_version: version of this package.
        settings: every other setting, as one line of text.
        added_noise: the result is a noisy copy for tests, not a denoised image.
    """

    model: str
    version: str
    weights_sha256: str
    sigma: str
    strength: float
    software_version: str
    settings: str
    added_noise: bool = False
