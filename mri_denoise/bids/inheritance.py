"""What lies beside an image or above it: metadata and tables that apply to it by BIDS' inheritance principle."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mri_denoise.bids.files import as_json, read_json
from mri_denoise.bids.names import BidsName, belongs_to, parse
from mri_denoise.bids.scan import Scan
from mri_denoise.io.files import reading

# files that go with an image, by its suffix: their suffix and extension
_TRAVEL = {
    "bold": (("events", ".tsv"), ("physio", ".tsv.gz"), ("stim", ".tsv.gz")),
    "cbv": (("events", ".tsv"), ("physio", ".tsv.gz"), ("stim", ".tsv.gz")),
    "asl": (("aslcontext", ".tsv"),),
    "dwi": (("dwi", ".bval"), ("dwi", ".bvec")),
}
_GRADIENTS = (".bval", ".bvec")


@dataclass(frozen=True, kw_only=True)
class Companion:
    """A file that travels with an image.

    Args:
        name: what it is called beside the source image.
        source: the file; None for metadata, which are merged from several.
        metadata: what is written as JSON if there is no file.
    """

    name: BidsName
    source: Path | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def content(self) -> bytes:
        """Its bytes.

        Raises:
            InputError: if the file cannot be read.
        """
        if self.source is None:
            return as_json(self.metadata)
        with reading(self.source):
            return self.source.read_bytes()


class Inheritance:
    """Looks up what applies to the images of a data set; folders are listed once.

    Args:
        root: of the data set.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._listed: dict[Path, list[tuple[BidsName, Path]]] = {}

    def metadata(self, scan: Scan) -> dict[str, Any]:
        """The metadata of an image: that of all JSON files that apply, those nearer to it last.

        Raises:
            InputError: if one of them cannot be read.
        """
        return self._merged(scan.folder, scan.name.called(scan.name.suffix, ".json"))

    def companions(self, scan: Scan) -> list[Companion]:
        """The files that travel with an image: b-values, directions, events and what else is recorded beside it.

        Raises:
            InputError: if one of them cannot be read.
        """
        found: list[Companion] = []
        for suffix, extension in _TRAVEL.get(scan.name.suffix, ()):
            for recording, path in self._nearest(scan, suffix, extension):
                base = scan.name if extension in _GRADIENTS else scan.name.without("echo", "part")
                name = base.called(suffix, extension)
                if recording is not None:
                    name = name.with_entities(recording=recording)
                with reading(path):
                    path.open("rb").close()
                found.append(Companion(name=name, source=path))
                described = self._merged(scan.folder, name.called(suffix, ".json"))
                if described and extension not in _GRADIENTS:
                    found.append(Companion(name=name.called(suffix, ".json"), metadata=described))
        return found

    def _merged(self, folder: Path, name: BidsName) -> dict[str, Any]:
        """The JSON objects that apply to a file, merged."""
        merged: dict[str, Any] = {}
        for level in self._levels(folder):
            applying = [(found, path) for found, path in self._files(level) if _applies(found, name)]
            for _, path in sorted(applying, key=lambda item: len(item[0].entities)):
                merged.update(read_json(path))
        return merged

    def _nearest(self, scan: Scan, suffix: str, extension: str) -> Sequence[tuple[str | None, Path]]:
        """The tables of a kind that are nearest to an image, one for each label of ``recording``."""
        wanted = scan.name.called(suffix, extension)
        nearest: dict[str | None, Path] = {}
        for level in self._levels(scan.folder):
            applying = [
                (found, path)
                for found, path in self._files(level)
                if (found.suffix, found.extension) == (suffix, extension)
                and belongs_to(found, wanted, ignoring=("recording",))
            ]
            for found, path in sorted(applying, key=lambda item: len(item[0].entities)):
                nearest[found.entities.get("recording")] = path
        return list(nearest.items())

    def _levels(self, folder: Path) -> Iterator[Path]:
        """The folders from the root of the data set down to that of an image."""
        yield self._root
        for depth in range(1, len(folder.parts) + 1):
            yield self._root.joinpath(*folder.parts[:depth])

    def _files(self, folder: Path) -> list[tuple[BidsName, Path]]:
        """The files of a folder that are no images and have names of BIDS."""
        if folder not in self._listed:
            with reading(folder):
                names = sorted(entry.name for entry in os.scandir(folder) if not entry.name.startswith("."))
            parsed = ((parse(name), folder / name) for name in names if ".nii" not in name)
            self._listed[folder] = [(name, path) for name, path in parsed if name is not None]
        return self._listed[folder]


def _applies(file: BidsName, image: BidsName) -> bool:
    return (file.suffix, file.extension) == (image.suffix, ".json") and belongs_to(file, image)
