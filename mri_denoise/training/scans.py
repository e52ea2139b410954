"""A user's own scans for training: checked one by one, split by subject, written down."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import nibabel as nib
import numpy as np

from mri_denoise.bundles.weights import sha256
from mri_denoise.errors import InputError
from mri_denoise.io import discover, open_reader
from mri_denoise.io.case import Case, Skip
from mri_denoise.io.files import NIFTI_ENDINGS, write_beside
from mri_denoise.training.course import Watcher
from mri_denoise.training.subjects import choose_validation, find_subjects, patient_of
from mri_denoise.volume import Volume

DATALIST = "datalist.json"
LEAST = 11  # voxels along an axis: the window of SSIM
Split = Literal["training", "validation"]
SPLITS: tuple[Split, Split] = ("training", "validation")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An image that may be trained on.

    Args:
        case: the image.
        subject: who is in it.
        split: which list it belongs to; None where that is still to be chosen.
        more: what a list of the user's says of it besides, as ``weight``.
    """

    case: Case
    subject: str
    split: Split | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TrainingScans:
    """Scans that are trained on, as the entries of a MONAI datalist: the user's files by absolute paths, copies
    by paths relative to the folder of the training.

    Args:
        lists: entries (``image``, ``name``, ``subject``, ``sha256`` ...) by split.
        voxels: of all of them together.
        skips: what was left alone; damaged are those that could not be read.
    """

    lists: Mapping[Split, Sequence[Mapping[str, Any]]]
    voxels: int
    skips: Sequence[Skip]

    def subjects(self, split: Split) -> list[str]:
        """The subjects of a split, each once."""
        return list(dict.fromkeys(str(entry["subject"]) for entry in self.lists[split]))


def is_prepared(folder: Path) -> bool:
    """Whether a folder has a datalist."""
    return (folder / DATALIST).is_file()


def candidates_of(cases: Sequence[Case]) -> list[Candidate]:
    """Cases with their subjects: of DICOM by the patient's number, of others by place and name."""
    subjects = find_subjects([case.output for case in cases])
    return [
        Candidate(case=case, subject=(patient_of(case.sources[0]) if case.series else "") or subject)
        for case, subject in zip(cases, subjects, strict=True)
    ]


def read_datalist(dataset: Path) -> tuple[list[Candidate], list[Skip]]:
    """Read the datalist of a prepared folder, whose split is kept.

    Args:
        dataset: folder with ``datalist.json``.

    Returns:
        the images of the training and the validation list; and those that are not there or unreadable.

    Raises:
        InputError: if it is no datalist with two lists.
    """
    path = dataset / DATALIST
    try:
        lists = json.loads(path.read_text(encoding="utf-8"))
        entries = [(split, dict(entry), Path(entry["image"])) for split in SPLITS for entry in lists[split]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: not a datalist with the lists 'training' and 'validation' of entries with an 'image'; mend it."
        ) from error
    found: list[Candidate] = []
    skips: list[Skip] = []
    named = find_subjects([image for _, _, image in entries])
    for (split, entry, image), subject in zip(entries, named, strict=True):
        try:
            cases, left = discover(dataset / image)
            if not cases:  # a folder of nothing but damaged files, or of what is left alone
                raise InputError(f"{dataset / image}: holds no image that can be used ({left[0].reason})")
        except InputError as error:
            skips.append(Skip(source=dataset / image, reason=_reason(error, dataset / image), damaged=True))
            continue
        told = str(entry.get("subject", subject))
        found.append(Candidate(case=cases[0], subject=told, split=split, more=entry))
    return found, skips


def gather(candidates: Sequence[Candidate], folder: Path, seed: int, watcher: Watcher) -> TrainingScans:
    """Read every image once, leave out what cannot be trained on, and split the rest by subject.

    What MONAI's reader would not read as the volume that it is (DICOM, 4D, NaN, a broken affine) is copied to
    ``folder/volumes`` as NIfTI.

    Args:
        candidates: the images.
        folder: of the training.
        seed: of the split, where the images have none.
        watcher: is told of each image, and of those that are left out.

    Raises:
        InputError: if nothing is left, all images are of one subject, or a list is empty.
    """
    entries: list[tuple[Candidate, dict[str, Any]]] = []
    skips: list[Skip] = []
    voxels = 0
    for number, candidate in enumerate(candidates):
        case = candidate.case
        try:
            volume, count = _first_volume(case)
        except InputError as error:
            skips.append(Skip(source=case.sources[0], reason=_reason(error, case.sources[0]), damaged=True))
            watcher.skipped(skips[-1])
        else:
            if reason := _unfit(case, volume):
                skips.append(Skip(source=case.sources[0], reason=reason))
                watcher.skipped(skips[-1])
            else:
                if count > 1:
                    watcher.note(f"{case.label}: holds {count} volumes, the first one is taken")
                entries.append((candidate, _entry(candidate, _image(case, volume, count, folder, number), folder)))
                voxels += volume.array[0].size
        watcher.scan("reading scans", number + 1, len(candidates))
    return TrainingScans(lists=_split(entries, seed), voxels=voxels, skips=skips)


def write_datalist(scans: TrainingScans, folder: Path, **more: object) -> Path:
    """Write down which scans are trained on.

    Args:
        scans: the scans.
        folder: receives ``datalist.json``.
        more: what else is worth knowing, as the seed.
    """
    target = folder / DATALIST
    content = {**more, "training": list(scans.lists["training"]), "validation": list(scans.lists["validation"])}
    with write_beside(target) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return target


def _first_volume(case: Case) -> tuple[Volume, int]:
    """The first volume of a case, and how many there are."""
    with open_reader(case) as reader:
        return reader.take(reader.count if reader.whole else 1), reader.count


def _unfit(case: Case, volume: Volume) -> str:
    """Why a volume is not trained on; empty if it is."""
    array = volume.array[0]
    if case.picture:
        return "a picture; training takes volumes"
    if min(array.shape) < LEAST:
        size = " x ".join(str(length) for length in array.shape)
        return f"{size} voxels; training takes {LEAST} or more along each axis"
    values = array[np.isfinite(array)]
    return "" if values.size and values.max() > values.min() else "holds no image, all voxels are equal"


def _image(case: Case, volume: Volume, count: int, folder: Path, number: int) -> Path:
    """The file that is trained on: the user's own, or a copy that MONAI reads as it should."""
    source = case.sources[0].absolute()
    array = volume.array[0]
    if count == 1 and np.isfinite(array).all() and _reads_alike(source, volume):
        return source
    target = folder / "volumes" / f"{number:04d}.nii.gz"
    target.parent.mkdir(parents=True, exist_ok=True)
    with write_beside(target) as partial:
        nib.save(nib.Nifti1Image(np.nan_to_num(array, posinf=0, neginf=0), volume.affine), partial)
    return target


def _reads_alike(path: Path, volume: Volume) -> bool:
    """Whether nibabel takes a file for the volume that our reader found in it."""
    if not path.name.endswith(NIFTI_ENDINGS):
        return False
    try:
        image: Any = nib.load(path)
    except (nib.filebasedimages.ImageFileError, OSError, ValueError):
        return False
    return image.shape == volume.array.shape[1:] and np.allclose(image.affine, volume.affine)


def _entry(candidate: Candidate, image: Path, folder: Path) -> dict[str, Any]:
    return {
        **candidate.more,
        "image": image.relative_to(folder).as_posix() if image.is_relative_to(folder) else str(image),
        "name": candidate.case.label,
        "subject": candidate.subject,
        "sha256": sha256(image),
    }


def _split(entries: Sequence[tuple[Candidate, dict[str, Any]]], seed: int) -> dict[Split, list[dict[str, Any]]]:
    if not entries:
        raise InputError("no volume to train on is left; give NIfTI files or DICOM series of two subjects or more.")
    given = any(candidate.split for candidate, _ in entries)
    subjects = [candidate.subject for candidate, _ in entries]
    if not given and len(set(subjects)) == 1:
        raise InputError(
            f"one subject only ({subjects[0]}): training and validation need one each; add scans of others in folders "
            "of their own, or use mri-denoise adapt, which learns from single scans."
        )
    validation = set() if given else choose_validation(subjects, seed)
    lists: dict[Split, list[dict[str, Any]]] = {"training": [], "validation": []}
    for candidate, entry in entries:
        lists[candidate.split or ("validation" if candidate.subject in validation else "training")].append(entry)
    for split, listed in lists.items():
        if not listed:
            raise InputError(f"the {split} list has no volume that can be used; add some to {DATALIST}.")
    return lists


def _reason(error: InputError, source: Path) -> str:
    return str(error).removeprefix(f"{source}: ")
