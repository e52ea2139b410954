"""Field maps in the raw layout: copied, and pointing to the denoised images in place of their sources."""

from __future__ import annotations

import filecmp
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from mri_denoise.bids.dataset import Dataset
from mri_denoise.bids.files import as_json, write_if_new
from mri_denoise.bids.inheritance import Inheritance
from mri_denoise.bids.layout import Layout
from mri_denoise.bids.names import parse
from mri_denoise.bids.scan import Scan
from mri_denoise.errors import InputError
from mri_denoise.io.absent import why_absent
from mri_denoise.io.files import reading, write_beside

_CORRECTED = ("func", "dwi", "perf")
_URI = "bids::"


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
                    write_if_new(target, as_json(_pointing(metadata, fieldmap, output, layout)))
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


def _pointing(metadata: dict[str, Any], fieldmap: Scan, output: Path, layout: Layout) -> dict[str, Any]:
    """Metadata whose ``IntendedFor`` names results."""
    intended = metadata.get("IntendedFor")
    if intended is None:
        return metadata
    targets: Sequence[Any] = [intended] if isinstance(intended, str) else intended
    renamed = [new for target in targets if (new := _renamed(str(target), fieldmap, output, layout)) is not None]
    rest = {key: value for key, value in metadata.items() if key != "IntendedFor"}
    return {**rest, "IntendedFor": renamed} if renamed else rest


def _renamed(target: str, fieldmap: Scan, output: Path, layout: Layout) -> str | None:
    """The result of an image that a field map is for, written as its source was; None if there is none.

    Args:
        target: a BIDS URI (``bids::sub-01/func/...``), or a path from the folder of the participant.
        fieldmap: that names it.
        output: the folder of the results.
        layout: of the results.
    """
    uri = target.startswith(_URI)
    path = PurePosixPath(target.removeprefix(_URI) if uri else f"{fieldmap.folder.parts[0]}/{target}")
    name = parse(path.name)
    if name is None:
        return None
    result = layout.image(Scan(path=Path(path), folder=Path(path.parent), name=name), "denoised")
    if not (output / result).is_file():
        return None
    return f"{_URI}{result.as_posix()}" if uri else result.relative_to(result.parts[0]).as_posix()
