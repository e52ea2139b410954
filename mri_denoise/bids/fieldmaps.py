"""Field maps in the raw layout: copied, and pointing to the denoised images in place of their sources."""

from __future__ import annotations

import filecmp
import shutil
from collections.abc import Iterable
from pathlib import Path

from mri_denoise.bids.dataset import Dataset
from mri_denoise.bids.files import as_json, write_if_new
from mri_denoise.bids.inheritance import Inheritance
from mri_denoise.bids.intended import pointing
from mri_denoise.bids.layout import Layout
from mri_denoise.bids.names import parse
from mri_denoise.bids.scan import Scan
from mri_denoise.errors import InputError
from mri_denoise.io.absent import why_absent
from mri_denoise.io.files import reading, write_beside

_CORRECTED = ("func", "dwi", "perf")


def carry_fieldmaps(dataset: Dataset, output: Path, layout: Layout, scans: Iterable[Scan]) -> list[tuple[str, str]]:
    """Copy the field maps that may belong to scans of the raw layout; they are not denoised.

    Args:
        dataset: the raw data.
        output: the folder of the results.
        layout: of the results; ``IntendedFor`` names the results that are there, and leaves out the others.
        scans: what was selected. Only functional, diffusion and perfusion images have field maps.

    Returns:
        what could not be copied: label, and why in one line.
    """
    inheritance = Inheritance(dataset.root)
    folders = dict.fromkeys(scan.folder.parent / "fmap" for scan in scans if scan.folder.name in _CORRECTED)
    failed: list[tuple[str, str]] = []
    for folder in folders:
        if not (dataset.root / folder).is_dir():
            continue
        for path in sorted((dataset.root / folder).iterdir()):
            name = parse(path.name)
            if name is None or name.extension not in (".nii", ".nii.gz"):
                continue
            fieldmap = Scan(path=path, folder=folder, name=name)
            try:
                _copy(path, output / folder / path.name)
                metadata = inheritance.metadata(fieldmap)
                if metadata:
                    target = output / folder / f"{name.stem}.json"
                    write_if_new(target, as_json(pointing(metadata, fieldmap, output, layout)))
            except InputError as error:
                failed.append((fieldmap.label, str(error)))
    return failed


def _copy(source: Path, target: Path) -> None:
    """Copy a file unless its copy is there.

    Raises:
        InputError: if it cannot be read or written.
    """
    if reason := why_absent(source):  # a pointer to the content is no field map
        raise InputError(f"{source}: {reason}")
    with reading(source):
        if target.is_file() and filecmp.cmp(source, target, shallow=False):
            return
    with write_beside(target, [source]) as partial:
        shutil.copyfile(source, partial)
