"""Which files a run will write, and whether it may; imports no torch, so that a command can answer before it starts."""

from __future__ import annotations

import filecmp
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mri_denoise.io.absent import why_absent
from mri_denoise.io.case import Case
from mri_denoise.io.files import IS_INPUT
from mri_denoise.io.leftovers import sweep
from mri_denoise.io.own_results import RECORD_ENDING
from mri_denoise.io.staging import common_folder
from mri_denoise.settings import EXTRAS, Extra, Settings

_COMPANIONS: Mapping[Extra, tuple[str, str | None]] = {
    "residual": ("_residual", None),
    "noise-map": ("_noise", None),
    "uncertainty": ("_uncertainty", None),
    "guard-map": ("_guard", None),
    "figure": ("_figure", ".png"),
    "report": ("_report", ".html"),
}

_SIDECARS = (".json", ".bval", ".bvec")  # as dcm2niix and BIDS name them


def record_path(case: Case, folder: Path) -> Path:
    """Where the run record of a case is written.

    Args:
        case: what is denoised.
        folder: what ``Case.output`` is relative to.
    """
    return case.companion(folder, "", RECORD_ENDING)


def companion_path(case: Case, folder: Path, extra: Extra) -> Path:
    """Where a companion of a result is written.

    Args:
        case: what is denoised.
        folder: what ``Case.output`` is relative to.
        extra: which companion.
    """
    return case.companion(folder, *_COMPANIONS[extra])


def sidecars(case: Case, folder: Path) -> dict[Path, Path]:
    """Find files that belong to an image by their name, and where they go: its JSON file, b-values and directions.

    Those of a BIDS data set have rules of their own (`mri_denoise.bids`), and where two images share their names it is
    unknown whose they are.

    Args:
        case: what is denoised.
        folder: what ``Case.output`` is relative to.

    Returns:
        where the copy of each goes; without those that have another file there, which is kept.
    """
    pairs = _sidecar_pairs(case, folder)
    readable = {here: there for here, there in pairs.items() if here.is_file() and os.access(here, os.R_OK)}
    return {here: there for here, there in readable.items() if not os.path.lexists(there) or _copied(here, there)}


def left_out(case: Case, folder: Path) -> list[str]:
    """Say which files that belong to an image cannot be copied, as their content is not here.

    Args:
        case: what is denoised.
        folder: what ``Case.output`` is relative to.

    Returns:
        one line for each, with its path.
    """
    said = ((path, why_absent(path)) for path in _sidecar_pairs(case, folder))
    return [f"{path}: not copied: {why}" for path, why in said if why]


def _sidecar_pairs(case: Case, folder: Path) -> dict[Path, Path]:
    """What belongs to an image by its name, whether it is there or not, and where it goes."""
    if case.kind != "nifti" or case.companions is not None or case.stem is not None:
        return {}
    beside = replace(case, output=Path(case.sources[0].name))
    return {beside.companion(case.sources[0].parent, "", end): case.companion(folder, "", end) for end in _SIDECARS}


def _copied(source: Path, copy: Path) -> bool:
    try:
        return not os.path.samefile(source, copy) and filecmp.cmp(source, copy, shallow=False)
    except OSError:
        return False


def planned_files(case: Case, folder: Path, extras: Collection[Extra]) -> list[Path]:
    """All files that a run writes for a case: the result, its companions and its record.

    Args:
        case: what is denoised.
        folder: what ``Case.output`` is relative to.
        extras: the companions that are wanted.
    """
    companions = [companion_path(case, folder, extra) for extra in _COMPANIONS if extra in extras]
    return [*case.outputs(folder), *companions, record_path(case, folder)]


def sweep_results(cases: Sequence[Case], folder: Path) -> None:
    """Remove what killed runs have left where the results of cases go, so that it is not taken for somebody's files.

    Args:
        cases: what is to be denoised.
        folder: what ``Case.output`` is relative to.
    """
    for common in {common_folder(planned_files(case, folder, EXTRAS)) for case in cases}:
        sweep(common)


def find_conflicts(cases: Sequence[Case], folder: Path, settings: Settings) -> dict[int, str]:
    """Find files of a run that are an input, or that two cases would write.

    Args:
        cases: all that are to be denoised.
        folder: what ``Case.output`` is relative to.
        settings: the user's choices; the map of the noise level is an input, too.

    Returns:
        for the numbers of such cases, the reason in one line.
    """
    sources = [source for case in cases for source in case.sources]
    inputs = _Files([*sources, settings.sigma.path] if settings.sigma.path else sources)
    claimed: dict[str, Case] = {}
    conflicts: dict[int, str] = {}
    for number, case in enumerate(cases):
        for path in planned_files(case, folder, settings.extras):
            other = claimed.setdefault(os.path.abspath(path).casefold(), case)
            if path in inputs:
                conflicts[number] = f"{path}: {IS_INPUT}"
            elif other is not case:
                conflicts[number] = f"{path}: is written for {other.label}, too; denoise one of them to another folder"
    return conflicts


class _Files:
    """Existing files, however a path leads to them; looked at when the first is asked for."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths, self._known = paths, set[tuple[int, int]]()

    def __contains__(self, path: Path) -> bool:
        try:
            wanted = path.stat()
        except OSError:
            return False
        if not self._known:
            self._known = {(found.st_dev, found.st_ino) for found in map(_stat, self._paths) if found is not None}
        return (wanted.st_dev, wanted.st_ino) in self._known


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None
