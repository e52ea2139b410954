"""What discovery finds: cases, and files that are left alone. What a writer is told: the derivation of a result."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Kind = Literal["nifti", "image", "dicom"]


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
