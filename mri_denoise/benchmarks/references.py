"""Reference volumes of a benchmark, and the noise that is added to them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from mri_denoise.bundles.weights import sha256
from mri_denoise.errors import InputError
from mri_denoise.evaluation.metrics import head_mask
from mri_denoise.io import Case, discover, read
from mri_denoise.io.files import reading
from mri_denoise.noise.simulate import add_rician
from mri_denoise.volume import slice_axis_of, suits_three_planes

_CONTRAST = re.compile(r"(?:^|[_-])(T1w|T2w|FLAIR|PDw|T2starw|T1c|DWI)(?=[_.]|$)", re.IGNORECASE)
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Reference:
    """A volume that counts as the truth.

    Args:
        case: where it is.
        label: name in tables, different for each reference.
        contrast: ``T1w``, ``T2w``, ``FLAIR`` ... or ``unknown``.
        sha256: of its file; of the files' own digests where there are several.
    """

    case: Case
    label: str
    contrast: str
    sha256: str

    def load(self, middle: int | None = None) -> Truth:
        """Read it.

        Args:
            middle: only so many slices in the middle are denoised and scored; all by default.

        Raises:
            InputError: if it cannot be read, or is not one volume with something in it.
        """
        volume = read(self.case)
        if volume.array.shape[0] != 1 or min(volume.array.shape[1:]) < 2:
            raise InputError(f"{self.label}: a benchmark takes single volumes, not the shape {volume.array.shape}.")
        array = np.nan_to_num(volume.array[0], nan=0.0, posinf=0.0, neginf=0.0)
        if not array.max() > 0:
            raise InputError(f"{self.label}: has no voxel above 0; choose another reference.")
        axis = slice_axis_of(volume)
        count = array.shape[axis] if middle is None else min(middle, array.shape[axis])
        start = (array.shape[axis] - count) // 2
        slab = tuple(slice(start, start + count) if a == axis else slice(None) for a in range(3))
        return Truth(array, volume.affine, axis, slab)


@dataclass(frozen=True)
class Truth:
    """The pixels of a reference.

    Args:
        whole: float32 (X, Y, Z), finite.
        affine: voxel index to RAS+ mm.
        slice_axis: the axis across slices.
        slab: the part that is denoised and scored.
    """

    whole: np.ndarray
    affine: np.ndarray
    slice_axis: int
    slab: tuple[slice, ...]

    @cached_property
    def peak(self) -> float:
        """Maximum of the whole volume: the noise level's hundred percent, PSNR's peak, SSIM's range."""
        return float(self.whole.max())

    @cached_property
    def clean(self) -> np.ndarray:
        """The part that is scored."""
        return np.ascontiguousarray(self.whole[self.slab])

    @cached_property
    def mask(self) -> np.ndarray:
        """The head in that part."""
        return head_mask(self.whole)[self.slab]

    @cached_property
    def isotropic(self) -> bool:
        """Whether slices along all three planes look alike."""
        return suits_three_planes(self.whole.shape, self.affine)

    def noisy(self, level: float, seed: int) -> np.ndarray:
        """Rician noise of ``level`` percent of the peak, drawn for the whole volume whatever the part.

        The protocol of the scripts of NL-PCA, ODCT and PRI-NLM (Manjon et al.): sigma from the maximum, the same for
        real and imaginary part.
        """
        noisy = add_rician(self.whole, level / 100 * self.peak, np.random.default_rng(seed))
        return np.ascontiguousarray(noisy[self.slab])


def find_references(paths: Sequence[Path], split: str = "test") -> list[Reference]:
    """References from image files and datalists.

    Args:
        paths: files of one volume each, DICOM folders, or MONAI datalists (``.json``), whose images are relative to
            them.
        split: which part of datalists: ``"test"``, ``"validation"`` or ``"training"``.

    Raises:
        InputError: if one cannot be found, or a datalist lacks the split.
    """
    found: list[tuple[Path, str]] = []
    for path in paths:
        found += _datalist(path, split) if path.suffix == ".json" else [(path, _contrast(path.name))]
    references: dict[str, Reference] = {}
    for path, contrast in found:
        case = _one_case(path)
        stem = re.sub(r"\.(nii|hdr|img|mgh|mgz)?(\.gz)?$", "", path.name) or path.name
        label = stem if stem not in references else str(path)
        if label in references:
            raise InputError(f"{path}: is named twice; name each reference once.")
        references[label] = Reference(case, label, contrast, _digest(case))
    if not references:
        raise InputError("there is no reference; name a volume or a datalist with some.")
    return list(references.values())


def _datalist(path: Path, split: str) -> list[tuple[Path, str]]:
    try:
        with reading(path):
            entries = json.loads(path.read_text(encoding="utf-8"))[split]
        return [(path.parent / e["image"], str(e.get("contrast") or _contrast(e["image"]))) for e in entries]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a datalist with the split {split} ({type(error).__name__}: {error}).") from error


def _contrast(name: str) -> str:
    match = _CONTRAST.search(name)
    return match[1] if match else UNKNOWN


def _one_case(path: Path) -> Case:
    if not path.exists():
        raise InputError(f"{path}: no such file; check the path.")
    cases, skips = discover(path)
    if len(cases) != 1:
        reason = f": {skips[0].reason}" if skips and not cases else f"; it holds {len(cases)}"
        raise InputError(f"{path}: a reference is one volume{reason}.")
    return cases[0]


def _digest(case: Case) -> str:
    digests = [sha256(source) for source in case.sources]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
