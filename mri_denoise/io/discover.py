"""Find the images of a file, a folder, a zip file or a DICOM tree, and say why other files are left alone.

No pixel is read.
"""

from __future__ import annotations

import dataclasses
import stat
from collections.abc import Iterator
from pathlib import Path

from mri_denoise.errors import InputError
from mri_denoise.io.absent import why_absent
from mri_denoise.io.archive import Unpacking
from mri_denoise.io.bids import not_magnitude
from mri_denoise.io.case import Case, Skip
from mri_denoise.io.classify import ZipFile, case_of
from mri_denoise.io.collisions import without_collisions
from mri_denoise.io.files import reading
from mri_denoise.io.image_type import by_json_beside
from mri_denoise.io.nifti.intent import no_image
from mri_denoise.io.own_results import OwnResults
from mri_denoise.io.sniff import pair_of
from mri_denoise.io.walk import walk

_BIDS_MARK = "dataset_description.json"
_BIDS_NOT_RAW = ("derivatives", "sourcedata")


def discover(path: Path, *, force: bool = False, own_results: bool = True) -> tuple[list[Case], list[Skip]]:
    """Find the cases of a file, a folder with its subfolders, a zip file, or a DICOM tree.

    Hidden files and folders are passed over, and so are the folders ``derivatives`` and ``sourcedata`` of a BIDS data
    set. Links to folders are followed, each folder once. Masks, maps and phase images, which BIDS marks by their names,
    are left alone unless `path` names one. DICOM files are sorted into volumes over the whole tree. A zip file is
    unpacked into a temporary folder and stands for a folder of its name.

    Args:
        path: a file or a folder.
        force: take also masks, maps, phase images, localizers and other images that are usually not denoised.
        own_results: take also what this package denoised before, with the maps beside it. It is known by its run
            record, and DICOM by its header.

    Returns:
        The cases, sorted by output, which keeps the place under `path`; and the files that look like an image but
        cannot be used or are left alone, with the reason.

    Raises:
        InputError: `path` is missing, cannot be read, is a file that is not an image, or is a folder without images.

    Examples:
        >>> cases, skips = discover(Path("study"))  # doctest: +SKIP
        >>> [case.output.as_posix() for case in cases]  # doctest: +SKIP
        ['sub-01/anat/sub-01_T1w.nii.gz', 'sub-01/301_T2_TSE']
    """
    path = Path(path)
    if absent := why_absent(path):
        raise InputError(f"{path}: {absent}")
    with reading(path):
        mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        cases, skips = _Search(path, force=force, own_results=own_results).collect(_walk(path))
        if not cases and not skips:
            raise InputError(f"{path}: no image found in this folder; give one with NIfTI, DICOM or pictures")
        return cases, skips
    if not stat.S_ISREG(mode):
        raise InputError(f"{path}: neither a file nor a folder; give one of these")
    path = (pair_of(path) or (path,))[0]
    cases, skips = _Search(path.parent, force=force, own_results=own_results, named=True).collect(iter([path]))
    if not cases:
        reason = skips[0].reason if skips else "not an image format that is read (NIfTI, Analyze, MGH, DICOM, pictures)"
        more = f" (and {len(skips) - 1} more files that are left alone)" if len(skips) > 1 else ""
        raise InputError(f"{path}: {reason}{more}")
    return cases, skips


def _walk(root: Path) -> Iterator[Path | Skip]:
    """Yield the files under a folder in sorted order, and a Skip for each folder that cannot be opened."""
    failures: list[Skip] = []

    def failed(error: OSError) -> None:
        failures.append(
            Skip(source=Path(error.filename), reason=f"folder cannot be opened ({error.strerror})", damaged=True)
        )

    yield from walk(root, failed, lambda files: _BIDS_NOT_RAW if _BIDS_MARK in files else ())
    yield from failures


class _Search:
    """A search under a folder: what it takes, and what it has unpacked.

    Args:
        root: outputs keep the place of their files below it.
        force: take also images that are usually not denoised.
        own_results: take also what this package denoised before.
        named: whether the user named the file, which is then taken whatever BIDS says of its name.
        in_zip: whether it searches an unpacked zip file; zip files in it are not opened.
    """

    def __init__(
        self, root: Path, *, force: bool, own_results: bool, named: bool = False, in_zip: bool = False
    ) -> None:
        self._root, self._force, self._own_results, self._named = root, force, own_results, named
        self._records = OwnResults()
        self._unpacking = None if in_zip else Unpacking()

    def collect(self, found: Iterator[Path | Skip]) -> tuple[list[Case], list[Skip]]:
        """Turn files into cases, DICOM files last."""
        cases: list[Case] = []
        skips: list[Skip] = []
        dicom: list[Path] = []
        for item in found:
            result = item if isinstance(item, Skip) else case_of(item, self._root)
            if isinstance(result, ZipFile):
                inside, left = self._from_zip(result.path)
                cases += inside
                skips += left
            elif isinstance(result, Path):
                dicom.append(result)
            elif isinstance(result, Skip):
                skips.append(result)
            elif result is not None:
                if reason := self._unwanted(result):
                    skips.append(Skip(source=result.sources[0], reason=reason))
                else:
                    cases.append(result)
        if dicom:
            from mri_denoise.io.dicom.discover import discover as discover_dicom

            dicom_cases, dicom_skips = discover_dicom(
                dicom, self._root, force=self._force, own_results=self._own_results
            )
            cases += dicom_cases
            skips += dicom_skips
        return without_collisions(cases, skips)

    def _unwanted(self, case: Case) -> str:
        """Why a NIfTI file or a picture is left alone; empty if it is not."""
        if self._force:
            return ""
        source = case.sources[0]
        reason = "" if self._own_results else self._records.reason(source)
        if case.picture:
            return reason
        told = "" if self._named else not_magnitude(source) or by_json_beside(source)
        return reason or told or no_image(source)

    def _from_zip(self, path: Path) -> tuple[list[Case], list[Skip]]:
        """Find the cases inside a zip file, whose outputs lie in a folder of its name."""
        if self._unpacking is None:
            return [], [Skip(source=path, reason="zip file inside a zip file: not opened; unpack it")]
        try:
            folder = self._unpacking.unpack(path)
        except InputError as error:
            return [], [Skip(source=path, reason=str(error).removeprefix(f"{path}: "), damaged=True)]
        inner = _Search(folder, force=self._force, own_results=self._own_results, in_zip=True)
        cases, skips = inner.collect(_walk(folder))
        place = path.relative_to(self._root).with_suffix("")
        if not cases and not skips:
            skips = [Skip(source=path, reason="no image found in this zip file")]
        moved = [
            dataclasses.replace(case, output=place / case.output, label=f"{place.as_posix()}/{case.label}")
            for case in cases
        ]
        return moved, skips
