"""Lay out a local copy of the public training data. Files are identified by their SHA-256, never by their name."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mri_denoise.bundles.weights import sha256
from mri_denoise.errors import InputError
from mri_denoise.io.files import reading, write_beside
from mri_denoise.training.scans import DATALIST


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """One file of a public data set.

    Args:
        dataset: the name of its manifest.
        path: its path inside the data set, with forward slashes.
        local: its path in the prepared folder (``volumes/train/...``).
        size: in bytes.
        sha256: the SHA-256 of the file as published, in hexadecimal.
        licence: SPDX identifier, or the name of a licence without one.
    """

    dataset: str
    path: str
    local: str
    size: int
    sha256: str
    licence: str


@dataclass(frozen=True, kw_only=True)
class Mismatch:
    """A file with the name of a listed one but other content (another version, or a broken download).

    Args:
        local: path of the listed file in the prepared folder.
        found: the file with its name.
    """

    local: str
    found: Path


@dataclass(frozen=True, kw_only=True)
class Report:
    """What :func:`prepare` did.

    Args:
        placed: listed files that are in the prepared folder now, by their local path.
        missing: listed files that were not found.
        mismatched: files with the name of a missing one but other content.
        datalist: the MONAI datalist that was written; it lists only files that are in the prepared folder.
    """

    placed: tuple[str, ...]
    missing: tuple[str, ...]
    mismatched: tuple[Mismatch, ...]
    datalist: Path


def manifests_folder() -> Path:
    """Find the folder of the manifests and ``datalist.json``.

    A wheel has them in ``mri_denoise/data``. A source tree, and so an editable installation, has them in ``data`` at
    its top.

    Raises:
        InputError: if they are not there (a damaged installation).
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "data", package.parent / "data"):
        if (folder / DATALIST).is_file():
            return folder
    raise InputError(f"{package / 'data'}: the data manifests are not there; install mri-denoise again.")


def load_manifests(folder: Path) -> list[DataFile]:
    """List the files of all manifests (``*.yaml``) in a folder, in the order of manifest and entry.

    Args:
        folder: of the manifests.

    Raises:
        InputError: if a manifest is not valid YAML or lacks a field.
    """
    files = []
    for manifest in sorted(folder.glob("*.yaml")):
        try:
            content = yaml.safe_load(manifest.read_text(encoding="utf-8"))
            files += [_data_file(manifest.stem, entry) for entry in content["files"]]
        except (yaml.YAMLError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"{manifest}: not a manifest ({reason}): restore it from the source tree") from error
    return files


def prepare(folder: Path, output: Path, *, copy: bool = False, manifests: Path | None = None) -> Report:
    """Check the hashes of a local copy of the public data and lay it out for training.

    Files may be anywhere below ``folder``, under any name. Only files of a listed size are hashed.

    Args:
        folder: where the data sets were downloaded to.
        output: receives ``volumes/{train,validation,test}/...`` and ``datalist.json``; may be ``folder`` itself.
        copy: whether files are copied; by default they are hard-linked if the file system allows it.
        manifests: folder of the manifests; that of the package by default.

    Returns:
        the listed files that were placed, are missing, or do not match.

    Raises:
        InputError: if ``folder`` is not a folder, a file cannot be read, or ``output`` holds another file of that name.
    """
    folder, output = Path(folder), Path(output)
    if not folder.is_dir():
        raise InputError(f"{folder}: not a folder: name the folder that holds the downloaded data")
    source = manifests_folder() if manifests is None else manifests
    wanted = load_manifests(source)
    candidates = list(_regular_files(folder))
    found = _find_by_content(wanted, candidates)
    present = [file for file in wanted if file.sha256 in found]
    _refuse_to_overwrite(present, output)
    for file in present:
        _place(found[file.sha256], output / file.local, copy=copy)
    missing = [file for file in wanted if file.sha256 not in found]
    datalist = _write_datalist(source / DATALIST, output, {file.local for file in present})
    return Report(
        placed=tuple(file.local for file in present),
        missing=tuple(file.local for file in missing),
        mismatched=tuple(_mismatches(missing, candidates, set(found.values()))),
        datalist=datalist,
    )


def _data_file(dataset: str, entry: dict[str, Any]) -> DataFile:
    local = str(entry["local"])
    if Path(local).is_absolute() or ".." in Path(local).parts:
        raise KeyError(f"local path leaves the folder: {local}")
    return DataFile(
        dataset=dataset,
        path=str(entry["path"]),
        local=local,
        size=int(entry["size"]),
        sha256=str(entry["sha256"]),
        licence=str(entry["licence"]),
    )


def _regular_files(folder: Path) -> Iterator[Path]:
    """Files below ``folder`` in a fixed order; links to files are followed (DataLad), broken ones are left out."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(parent, name)
            if path.is_file():
                yield path


def _find_by_content(wanted: Iterable[DataFile], candidates: Iterable[Path]) -> dict[str, Path]:
    """The first file with each wanted content, by SHA-256."""
    hashes_by_size: dict[int, set[str]] = {}
    for file in wanted:
        hashes_by_size.setdefault(file.size, set()).add(file.sha256)
    found: dict[str, Path] = {}
    for path in candidates:
        hashes = hashes_by_size.get(path.stat().st_size)
        if hashes is None or hashes <= found.keys():
            continue
        digest = _sha256(path)
        if digest in hashes:
            found.setdefault(digest, path)
    return found


def _sha256(path: Path) -> str:
    with reading(path):
        return sha256(path)


def _mismatches(missing: Iterable[DataFile], candidates: list[Path], used: set[Path]) -> Iterator[Mismatch]:
    """Files named like a missing one, either by its path in the data set or by its local name."""
    for file in missing:
        for path in candidates:
            name = path.as_posix()
            if path not in used and (name.endswith("/" + file.path) or path.name == Path(file.local).name):
                yield Mismatch(local=file.local, found=path)


def _refuse_to_overwrite(files: Iterable[DataFile], output: Path) -> None:
    """Check all files before the first is placed, so that a refusal changes nothing."""
    for file in files:
        target = output / file.local
        if target.exists() and (target.stat().st_size != file.size or _sha256(target) != file.sha256):
            raise InputError(f"{target}: exists with other content: delete it or choose another output folder")


def _place(source: Path, target: Path, *, copy: bool) -> None:
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if not copy:
        try:
            os.link(source.resolve(), target)
            return
        except OSError:  # another file system, or one without hard links
            pass
    with write_beside(target, [source]) as temporary:
        shutil.copyfile(source, temporary)


def _write_datalist(template: Path, output: Path, present: set[str]) -> Path:
    """The shipped datalist without the entries that are not there."""
    full = json.loads(template.read_text(encoding="utf-8"))
    kept = {key: [entry for entry in entries if entry["image"] in present] for key, entries in full.items()}
    target = output / DATALIST
    with write_beside(target) as temporary:
        temporary.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    return target
