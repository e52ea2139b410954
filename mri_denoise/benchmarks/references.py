"""Reference volumes, which count as the truth, and the Rician noise that is added to them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from mri_denoise.benchmarks.baselines import Method, Slicing
from mri_denoise.benchmarks.datalist import read_datalist
from mri_denoise.bundles.weights import sha256
from mri_denoise.errors import InputError
from mri_denoise.evaluation.metrics import head_mask
from mri_denoise.io import Case, discover, read
from mri_denoise.noise.simulate import add_rician
from mri_denoise.volume import slice_axis_of

_CONTRAST = re.compile(r"(?:^|[_-])(T1w|T2w|FLAIR|PDw|T2starw|T1c|DWI)(?=[_.]|$)", re.IGNORECASE)
UNKNOWN = "unknown"
LEVELS = (1.0, 3.0, 5.0, 7.0, 9.0, 15.0)  # sigma of the noise in percent of the maximum


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A volume that counts as the truth.

    Args:
        case: its files.
        label: name in tables, different for each reference.
        contrast: ``T1w``, ``T2w``, ``FLAIR`` ... or ``unknown``.
        sha256: of its file, or of the digests of its files where there are several.
    """

    case: Case
    label: str
    contrast: str
    sha256: str

    def load(self, middle: int | None = None) -> Truth:
        """Read the reference.

        Args:
            middle: number of slices in the middle that are denoised and scored; all by default.

        Raises:
            InputError: if it cannot be read, is not one volume, or has no voxel above 0.
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
        return Truth(whole=array, affine=volume.affine, slice_axis=axis, slab=slab)


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The pixels of a reference.

    Args:
        whole: float32 (X, Y, Z), finite.
        affine: voxel index to RAS+ mm, shape (4, 4).
        slice_axis: the axis across the slices: 0, 1 or 2.
        slab: index of the part that is denoised and scored.
    """

    whole: np.ndarray
    affine: np.ndarray
    slice_axis: int
    slab: tuple[slice, ...]

    @cached_property
    def peak(self) -> float:
        """Maximum of the whole volume: 100 % of the noise level, the peak of PSNR and the range of SSIM."""
        return float(self.whole.max())

    @cached_property
    def clean(self) -> np.ndarray:
        """The part that is scored."""
        return np.ascontiguousarray(self.whole[self.slab])

    @cached_property
    def mask(self) -> np.ndarray:
        """The head in that part, boolean."""
        return head_mask(self.whole)[self.slab]

    def noisy(self, level: float, seed: int) -> np.ndarray:
        """The part with Rician noise: ``sqrt((v + sigma g1)^2 + (sigma g2)^2)``, g1 and g2 standard normal.

        It is the protocol of the scripts of NL-PCA, ODCT and PRI-NLM (Manjon et al.): sigma is a share of the maximum,
        and the same in the real and in the imaginary channel. Noise is drawn for the whole volume, whatever the part.

        Args:
            level: sigma in percent of the peak.
            seed: of the noise.

        Returns:
            float32 array of the part.
        """
        noisy = add_rician(self.whole, level / 100 * self.peak, np.random.default_rng(seed))
        return np.ascontiguousarray(noisy[self.slab])

    def cut(self, method: Method) -> Method:
        """The method for volumes of this geometry."""
        slicing = Slicing(quality=method.slicing.quality, slice_axis=self.slice_axis, affine=self.affine)
        return replace(method, slicing=slicing)


def find_references(paths: Sequence[Path], split: str = "test") -> list[Reference]:
    """Find the references in image files and datalists.

    Args:
        paths: files of one volume each, DICOM folders, or MONAI datalists (``.json``).
        split: the part of datalists that is used: ``"test"``, ``"validation"`` or ``"training"``.

    Raises:
        InputError: if a file cannot be found, a datalist lacks the split, or there is no reference at all.
    """
    found: list[tuple[Path, str]] = []
    for path in paths:
        found += _listed(path, split) if path.suffix == ".json" else [(path, _contrast(path.name))]
    references: dict[str, Reference] = {}
    for path, contrast in found:
        case = _one_case(path)
        stem = _stem(path.name)
        label = stem if stem not in references else str(path)
        if label in references:
            raise InputError(f"{path}: is named twice; name each reference once.")
        references[label] = Reference(case=case, label=label, contrast=contrast, sha256=_digest(case))
    if not references:
        raise InputError("there is no reference; name a volume or a datalist with some.")
    return list(references.values())


def references_in(paths: Sequence[Path]) -> list[Reference]:
    """Find the references in files and in folders; what a folder holds beside images is left alone.

    Args:
        paths: files of one volume each, DICOM folders, or folders of any images.

    Raises:
        InputError: if a path does not exist, or holds no image.
    """
    found: list[Reference] = []
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: no such file; check the path.")
        cases, skips = discover(path)
        if not cases:
            raise InputError(f"{path}: {skips[0].reason if skips else 'holds no image'}; name volumes.")
        for case in cases:
            stem = _stem(case.output.name)
            label = stem if all(one.label != stem for one in found) else case.label
            found.append(Reference(case=case, label=label, contrast=_contrast(stem), sha256=_digest(case)))
    return found


def _listed(path: Path, split: str) -> list[tuple[Path, str]]:
    """The files of a split with their contrasts."""
    splits = read_datalist(path)
    if split not in splits:
        raise InputError(f"{path}: not a datalist with the split {split}; it has {', '.join(splits) or 'none'}.")
    return [(entry.image, entry.contrast or _contrast(entry.image.name)) for entry in splits[split]]


def _stem(name: str) -> str:
    return re.sub(r"\.(nii|hdr|img|mgh|mgz)?(\.gz)?$", "", name) or name


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
