"""What discovery finds: cases, and files that are left alone. What a writer is told: the derivation of a result."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

Kind = Literal["nifti", "picture", "dicom"]


class Details(Protocol):
    """What a format's own reader and writer need to know of a case, beyond its files."""

    @property
    def names(self) -> tuple[Path, ...]:
        """The files of the result, relative to `Case.output`, where that is a folder; otherwise empty."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What is unusual about the case, in words for the user."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One image that is read, denoised and written as a whole.

    Args:
        kind: the family of formats, by which `mri_denoise.io.formats` chooses reader and writer.
        sources: the files it is read from, each once; for DICOM in the order of the slices.
        output: where the result goes, relative to the output folder: a file (``sub-01/anat/sub-01_T1w.nii.gz``), or for
            DICOM the folder of the derived series.
        label: how messages and records name it.
        details: what the format's own reader and writer need, such as the slices of a DICOM volume.
        companions: where the files beside the result go, relative to the output folder, by the suffix that
            :meth:`companion` is given; for layouts that have places of their own for them.
        stem: what the names of companions begin with where that of `output` would be another case's, too.
    """

    kind: Kind
    sources: tuple[Path, ...]
    output: Path
    label: str
    details: Details | None = field(default=None, compare=False)
    companions: Mapping[str, Path] | None = field(default=None, compare=False)
    stem: str | None = None

    @property
    def picture(self) -> bool:
        """Whether it is a picture (PNG, JPEG ...) and not a scan."""
        return self.kind == "picture"

    @property
    def series(self) -> bool:
        """Whether its files are the slices of a DICOM series, which a folder stands for."""
        return self.kind == "dicom"

    @property
    def writes_folder(self) -> bool:
        """Whether `output` is a folder of several files, not a file."""
        return bool(self.details and self.details.names)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is unusual about it, in words for the user."""
        return self.details.notes if self.details else ()

    def outputs(self, folder: Path) -> list[Path]:
        """The files that a result consists of, in the order in which they are written.

        Of a pair they are header and image, and between them SPM's matrix if the pair has one.

        Args:
            folder: what `output` is relative to.
        """
        target = folder / self.output
        if self.kind == "nifti" and len(self.sources) > 1:
            packed = ".gz" if target.suffix.lower() == ".gz" else ""
            bare = target.with_suffix("") if packed else target
            from mri_denoise.io.nifti.layout import matrix_of  # which needs nibabel, and pairs are rare

            matrix = [".mat"] if matrix_of(self.sources[0]) else []
            return [bare.with_suffix(ending) for ending in (f".hdr{packed}", *matrix, f".img{packed}")]
        return [target / name for name in self.details.names] if self.details and self.details.names else [target]

    def companion(self, folder: Path, suffix: str, extension: str | None = None) -> Path:
        """The path of a file beside the result.

        ``sub-01_T1w.nii.gz`` gets ``sub-01_T1w_residual.nii.gz``. A DICOM series in the folder ``301_T1`` gets files
        beside that folder, named after it and the volume, because a series may hold several volumes.

        Args:
            folder: what `output` is relative to.
            suffix: added to the name, such as ``_residual``.
            extension: of the new file; by default ``.nii.gz``, and ``.tif`` for pictures.
        """
        if self.companions is not None:
            return folder / self.companions[suffix]
        if extension is None:
            extension = ".tif" if self.picture else ".nii.gz"
        name = self.output.name
        if self.writes_folder:
            own = self.label.removeprefix(f"{self.output.parent.as_posix()}/")  # the file lies there anyway
            volume = re.sub(r"[^\w.+-]+", "_", own).strip("_")
            stem = volume if volume.startswith(name) else f"{name}_{volume}"
        elif self.stem is not None:
            stem = self.stem
        else:
            stem = re.sub(r"(\.gz)$", "", name, flags=re.IGNORECASE)
            stem = stem[: -len(Path(stem).suffix)] if Path(stem).suffix else stem
        return (folder / self.output).with_name(f"{stem}{suffix}{extension}")


@dataclass(frozen=True, kw_only=True)
class Skip:
    """A file that is left alone, with the reason in one line.

    Args:
        source: the file.
        reason: why.
        damaged: whether it should have been an image but is not whole, or one whose result has no place. It counts as
            failed; the others are left alone on purpose.
    """

    source: Path
    reason: str
    damaged: bool = False


@dataclass(frozen=True, kw_only=True)
class Derivation:
    """How a result was made: what a DICOM writer records, and derives the new identifiers from.

    Args:
        model: name of the model or method.
        version: version of the model.
        weights_sha256: SHA-256 of its weights as hexadecimal digits, empty for a method without weights.
        sigma: noise level that was assumed, with its unit or origin, as text for a reader.
        strength: from 0 (the input unchanged) to 1 (the full result).
        software_version: version of this package.
        settings: every other setting, as one line of text.
        added_noise: whether the result is a noisy copy for tests, not a denoised image.
    """

    model: str
    version: str
    weights_sha256: str
    sigma: str
    strength: float
    software_version: str
    settings: str
    added_noise: bool = False
