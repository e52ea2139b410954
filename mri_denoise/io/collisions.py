"""Keep results apart: no two cases may write the same file."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

from mri_denoise.io.case import Case, Skip
from mri_denoise.io.files import natural


def without_collisions(cases: list[Case], skips: list[Skip]) -> tuple[list[Case], list[Skip]]:
    """Sort by output; of cases with the same output, also if upper and lower case are ignored, keep the first.

    Volumes of one DICOM series share a folder as their output, but no files in it.
    """
    taken: dict[str, Case] = {}
    files: set[Path] = set()
    kept: list[Case] = []
    for case in sorted(cases, key=lambda case: (natural(case.output.as_posix()), natural(case.label))):
        other = taken.setdefault(case.output.as_posix().lower(), case)
        names = set(case.outputs(Path()))
        if other is case or (case.writes_folder and other.writes_folder and not names & files):
            kept.append(case)
            files |= names
        else:
            # What differs in upper and lower case alone is another image, not the same one twice.
            another = case.output != other.output
            hint = " where upper and lower case are the same; rename one of them" if another else ""
            reason = f"its output {case.output} would overwrite that of {other.sources[0]}{hint}"
            skips.append(Skip(source=case.sources[0], reason=reason, damaged=another))
    return _with_own_companions(kept), sorted(skips, key=lambda skip: natural(str(skip.source)))


def _with_own_companions(cases: list[Case]) -> list[Case]:
    """Let companions be named by the whole name of the output where ``a.nii`` and ``a.mgz`` would share them."""
    names = [case.companion(Path(), "", "").as_posix().casefold() for case in cases]
    shared = {name for name, count in Counter(names).items() if count > 1}
    return [
        dataclasses.replace(case, stem=case.output.name) if name in shared and not case.writes_folder else case
        for name, case in zip(names, cases, strict=True)
    ]
