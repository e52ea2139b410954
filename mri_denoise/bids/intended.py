"""``IntendedFor``: the images that a field map or a calibration scan is for, in results those that were denoised."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from mri_denoise.bids.layout import Layout
from mri_denoise.bids.names import parse
from mri_denoise.bids.scan import Scan

FIELD = "IntendedFor"
_URI = "bids::"


def pointing(metadata: Mapping[str, Any], scan: Scan, output: Path, layout: Layout) -> dict[str, Any]:
    """Metadata whose ``IntendedFor`` names results.

    Args:
        metadata: of the source.
        scan: whose they are.
        output: the folder of the results.
        layout: of the results; those that are there are named, and the others left out.
    """
    intended = metadata.get(FIELD)
    targets = [intended] if isinstance(intended, str) else intended
    if not isinstance(targets, list):
        return dict(metadata)
    renamed = [new for target in targets if (new := _renamed(str(target), scan, output, layout)) is not None]
    rest = {key: value for key, value in metadata.items() if key != FIELD}
    return {**rest, FIELD: renamed} if renamed else rest


def _renamed(target: str, scan: Scan, output: Path, layout: Layout) -> str | None:
    """The result of an image that a scan is for, written as its source was; None if there is none.

    Args:
        target: a BIDS URI (``bids::sub-01/func/...``), or a path from the folder of the participant.
        scan: that names it.
        output: the folder of the results.
        layout: of the results.
    """
    uri = target.startswith(_URI)
    path = PurePosixPath(target.removeprefix(_URI) if uri else f"{scan.folder.parts[0]}/{target}")
    name = parse(path.name)
    if name is None:
        return None
    result = layout.image(Scan(path=Path(path), folder=Path(path.parent), name=name), "denoised")
    if not (output / result).is_file():
        return None
    return f"{_URI}{result.as_posix()}" if uri else result.relative_to(result.parts[0]).as_posix()
