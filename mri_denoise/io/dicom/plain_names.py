"""Name derived series by their numbers alone: what an operator wrote into a description may name a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mri_denoise.io.case import Case
from mri_denoise.io.dicom.layout import volume_of


def without_descriptions(cases: Sequence[Case]) -> list[Case]:
    """Give each DICOM series the folder ``NUMBER_series`` in the place of ``NUMBER_DESCRIPTION``.

    Args:
        cases: from :func:`mri_denoise.io.discover`; those of other formats stay as they are.

    Returns:
        the cases in the same order, whose outputs and labels hold no text of a header.
    """
    named: dict[Path, Path] = {}
    taken: set[Path] = set()
    found = []
    for case in cases:
        if case.kind != "dicom":
            found.append(case)
            continue
        if case.output not in named:
            number = volume_of(case).series_number
            base = "series" if number is None else f"{number}_series"
            name, count = case.output.with_name(base), 1
            while name in taken:
                count += 1
                name = case.output.with_name(f"{base}_{count}")
            taken.add(name)
            named[case.output] = name
        output = named[case.output]
        label = output.as_posix() + case.label.removeprefix(case.output.as_posix())
        found.append(replace(case, output=output, label=label))
    return found
