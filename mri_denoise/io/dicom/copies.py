"""Tell copies of one image from different images that share an identifier, as after bad de-identification."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Hashable
from dataclasses import replace
from pathlib import Path

from mri_denoise.errors import InputError
from mri_denoise.io.case import Skip
from mri_denoise.io.dicom.dataset import number
from mri_denoise.io.dicom.instance import Instance
from mri_denoise.io.dicom.pixels import decode, open_image, pixel_format, stored_values


def without_copies(instances: list[Instance]) -> tuple[list[Instance], list[Skip]]:
    """Keep one file of each image.

    Files are copies of one image if SOP Instance UID, series, position, content and pixels agree. Files that share the
    identifier alone are different images; all are kept, with a note. Of copies the first is kept, by path, whose pixels
    can be decoded.

    Args:
        instances: slices of files, sorted by path.

    Returns:
        The slices that stay, and the files left alone.
    """
    files: dict[Path, list[Instance]] = defaultdict(list)
    for one in instances:
        files[one.path].append(one)
    same_uid: dict[str, list[Path]] = defaultdict(list)
    for path, slices in files.items():
        same_uid[slices[0].sop_uid].append(path)
    dropped: dict[Path, Skip] = {}
    shared: set[Path] = set()
    for paths in same_uid.values():
        if len(paths) > 1:
            copies = _copies({path: files[path] for path in paths})
            dropped |= copies
            kept = set(paths) - set(copies)
            shared |= kept if len(kept) > 1 else set()
    note = "different images share a SOP Instance UID: each is kept, and gets a new one of its own"
    left = [one for one in instances if one.path not in dropped]
    marked = [replace(one, notes=(*one.notes, note)) if one.path in shared else one for one in left]
    return marked, list(dropped.values())


def _copies(files: dict[Path, list[Instance]]) -> dict[Path, Skip]:
    """The files that are copies of another one in a group with one SOP Instance UID."""
    alike: dict[Hashable, list[Path]] = defaultdict(list)
    for path, slices in files.items():
        alike[tuple((s.plane, s.series, s.divider, s.moment, s.orientation, s.position) for s in slices)].append(path)
    dropped: dict[Path, Skip] = {}
    for paths in alike.values():
        digests = {path: _digest(path, len(paths)) for path in paths}
        first: dict[str, Path] = {}
        for path in [path for path in paths if digests[path]]:
            best = first.setdefault(digests[path], path)
            if path is not best:
                reason = f"copy of {best.name} (same SOP Instance UID, position and pixels)"
                dropped[path] = Skip(source=path, reason=reason)
        for path in [path for path in paths if not digests[path]][0 if first else 1 :]:
            best = next(iter(first.values()), paths[0])
            dropped[path] = Skip(source=path, reason=f"damaged copy of {best.name} (same SOP Instance UID)")
    return dropped


def _digest(path: Path, copies: int) -> str:
    """The SHA-256 of the stored values of a file that has possible copies; empty if it has none, or is damaged."""
    if copies < 2:
        return path.as_posix()
    digest = hashlib.sha256()
    try:
        ds = open_image(path)
        layout = pixel_format(ds)
        for frame in range(int(number(ds, "NumberOfFrames") or 1)):
            digest.update(stored_values(decode(ds, path, frame), layout).tobytes())
    except InputError:
        return ""
    return digest.hexdigest()
