"""Know files that this package made, by the run records beside them, and in BIDS data sets by their JSON files."""

from __future__ import annotations

import json
from pathlib import Path

from mri_denoise.io.files import NIFTI_ENDINGS

RECORD_ENDING = ".mri-denoise.json"
"""What the names of run records end in."""
_LONGEST = 64 << 20  # bytes of a record
_FIELDS = {"Sources", "Model", "ModelVersion", "WeightsSHA256"}  # which `mri_denoise.bids.sidecars` writes


class OwnResults:
    """The results that run records speak of. Each folder's records are read once, when its first file is asked for.

    Those of a BIDS data set lie in a folder of their own, ``logs/``; there the JSON file of an image tells.
    """

    def __init__(self) -> None:
        self._folders: dict[Path, dict[str, str]] = {}

    def reason(self, path: Path) -> str:
        """Say why a file need not be denoised.

        Args:
            path: of an image.

        Returns:
            The reason in a few words; empty if no record beside the file names it as the result of denoising or as a
            map that belongs to one, and its JSON file does not say so. Noisy copies and other files of a simulation are
            no such results.
        """
        if path.parent not in self._folders:
            self._folders[path.parent] = _named_in(path.parent)
        return self._folders[path.parent].get(path.name, "") or _by_json_file(path)


def _named_in(folder: Path) -> dict[str, str]:
    """The files that the run records of a folder name, and what they are."""
    named: dict[str, str] = {}
    try:
        records = sorted(one for one in folder.iterdir() if one.name.endswith(RECORD_ENDING))
    except OSError:
        return named
    for record in records:
        found = _read(record)
        if "model" not in found:  # as in records of simulations
            continue
        said = f"by its record {record.name}"
        named |= dict.fromkeys(_names(found.get("companions")), f"belongs to a denoised image, {said}")
        named |= dict.fromkeys(_names(found.get("outputs")), f"denoised already, {said}")
    return named


def _by_json_file(path: Path) -> str:
    """Say that an image is a result, or a map of one, if its JSON file has what those of BIDS results have."""
    ending = next((one for one in NIFTI_ENDINGS if path.name.endswith(one)), None)
    if ending is None:
        return ""
    described = path.with_name(path.name.removesuffix(ending) + ".json")
    return f"denoised already, by its JSON file {described.name}" if _read(described).keys() >= _FIELDS else ""


def _read(record: Path) -> dict[str, object]:
    try:
        if record.stat().st_size > _LONGEST:
            return {}
        found = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _names(paths: object) -> list[str]:
    """The names of files from the paths in a record, whichever system wrote them."""
    listed = paths if isinstance(paths, list) else []
    return [path.replace("\\", "/").rpartition("/")[2] for path in listed if isinstance(path, str)]
