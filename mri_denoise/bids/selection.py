"""Which images of a data set are denoised: walk the folders of its participants, without an index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mri_denoise.bids.dataset import Dataset
from mri_denoise.bids.filters import Filters
from mri_denoise.bids.inheritance import Inheritance
from mri_denoise.bids.kinds import SUFFIXES
from mri_denoise.bids.names import parse, same_label
from mri_denoise.bids.scan import Scan
from mri_denoise.errors import InputError
from mri_denoise.io.absent import why_absent
from mri_denoise.io.bids import not_magnitude
from mri_denoise.io.case import Skip
from mri_denoise.io.files import natural
from mri_denoise.io.image_type import by_metadata
from mri_denoise.io.share import Share

_IMAGES = (".nii", ".nii.gz")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a user asks for. Labels are written without their entity; an empty list asks for all.

    Args:
        participants: labels of participants.
        sessions: labels of sessions.
        tasks: labels of tasks; images without a task are not held to it.
        runs: numbers of runs; images without a run are not held to it.
        suffixes: as ``T1w``.
        filters: of a filter file.
        everything: take also maps, masks and phase images.
        share: which part of the participants; the absent ones are named in all.
    """

    participants: Sequence[str] = ()
    sessions: Sequence[str] = ()
    tasks: Sequence[str] = ()
    runs: Sequence[str] = ()
    suffixes: Sequence[str] = ()
    filters: Filters = field(default_factory=Filters)
    everything: bool = False
    share: Share = Share()


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What was found.

    Args:
        scans: what is denoised, by participant, session and data type.
        skips: images that match but are left alone, with the reason; absent and unreadable ones count as damaged.
        absent: labels of participants that were asked for and are not there.
    """

    scans: tuple[Scan, ...]
    skips: tuple[Skip, ...]
    absent: tuple[str, ...]


def select(dataset: Dataset, wanted: Wanted, *, absent_too: bool = False) -> Selection:
    """Find the images to denoise, by their names and the Image Type in their JSON files.

    No image is opened, except for its first bytes if it is tiny.

    Args:
        dataset: the raw data set.
        wanted: what the user asks for.
        absent_too: take images whose content is not here, for what needs their names alone.

    Raises:
        InputError: if there are fewer participants than shares.
    """
    labels = list(dict.fromkeys(wanted.participants)) or list(dataset.participants)
    present = [label for label in labels if label in dataset.participants]
    wanted.share.check(len(present), "participants")
    scans: list[Scan] = []
    skips: list[Skip] = []
    inheritance = Inheritance(dataset.root)
    for label in wanted.share.of(present):
        for found in _images(dataset.root, label, wanted):
            if isinstance(found, Skip):
                skips.append(found)
            elif _asked_for(found, wanted):
                reason, damaged = _left_alone(found, wanted.everything, inheritance)
                if reason and not (damaged and absent_too):
                    skips.append(Skip(source=found.path, reason=reason, damaged=damaged))
                else:
                    scans.append(found)
    scans, doubles = _without_doubles(scans)
    absent = tuple(label for label in labels if label not in dataset.participants)
    return Selection(scans=tuple(scans), skips=(*skips, *doubles), absent=absent)


def _images(root: Path, participant: str, wanted: Wanted) -> Iterator[Scan | Skip]:
    """The NIfTI files of a participant in the folders of MR data, sorted."""
    subject = root / f"sub-{participant}"
    try:
        sessions = sorted(
            (entry for entry in subject.iterdir() if entry.name.startswith("ses-") and entry.is_dir()),
            key=lambda entry: natural(entry.name),
        )
        for parent in (subject, *sessions):
            if parent != subject and wanted.sessions and parent.name.removeprefix("ses-") not in wanted.sessions:
                continue
            if parent == subject and sessions and wanted.sessions:
                continue
            for datatype in SUFFIXES:
                folder = parent / datatype
                files = folder.iterdir() if folder.is_dir() else ()
                yield from (
                    _scan(file, root) for file in sorted(files, key=lambda file: natural(file.name)) if _is_image(file)
                )
    except OSError as error:
        failed = Path(error.filename or subject)
        yield Skip(source=failed, reason=f"folder cannot be opened ({error.strerror})", damaged=True)


def _is_image(path: Path) -> bool:
    return path.name.endswith(_IMAGES) and not path.name.startswith(".")


def _scan(path: Path, root: Path) -> Scan | Skip:
    """The scan of a file; a Skip if its name does not belong where it lies."""
    folder = path.parent.relative_to(root)
    name = parse(path.name)
    if name is None:
        return Skip(source=path, reason="not a name of BIDS; rename it")
    parents = [part for part in folder.parts if part.startswith(("sub-", "ses-"))]
    mine = [f"{entity}-{name.entities[entity]}" for entity in ("sub", "ses") if entity in name.entities]
    if mine != parents:
        return Skip(source=path, reason=f"its name does not fit its folder {folder.as_posix()}; rename or move it")
    return Scan(path=path, folder=folder, name=name)


def _asked_for(scan: Scan, wanted: Wanted) -> bool:
    """Whether a scan matches the user's labels."""
    entities = scan.name.entities
    if wanted.sessions and entities.get("ses") not in wanted.sessions:
        return False
    if wanted.suffixes and scan.name.suffix not in wanted.suffixes:
        return False
    for entity, labels in (("task", wanted.tasks), ("run", wanted.runs)):
        held = entities.get(entity)
        if labels and held is not None and not any(same_label(held, label) for label in labels):
            return False
    return wanted.filters.match(scan.name, scan.folder.name)


def _left_alone(scan: Scan, everything: bool, inheritance: Inheritance) -> tuple[str, bool]:
    """Why a scan is left alone, empty if it is not; and whether that counts as damaged."""
    if not everything:
        reason = not_magnitude(scan.path)
        if reason:
            return reason, False
        if scan.name.suffix not in SUFFIXES[scan.folder.name]:
            return f"images of this kind (_{scan.name.suffix}) are not denoised", False
        if reason := _by_sidecars(scan, inheritance):
            return reason, False
    absent = why_absent(scan.path)
    return absent, bool(absent)


def _by_sidecars(scan: Scan, inheritance: Inheritance) -> str:
    """Why a scan is left alone by its metadata, also inherited ones; what cannot be read says nothing here."""
    try:
        reason = by_metadata(inheritance.metadata(scan))
    except InputError:  # its own error, once it is to be denoised
        return ""
    return f"{reason}, by its JSON files" if reason else ""


def _without_doubles(scans: Sequence[Scan]) -> tuple[list[Scan], list[Skip]]:
    """Of a.nii and a.nii.gz, whose results would have one name, only the first is kept."""
    taken: dict[Path, Scan] = {}
    doubles: list[Skip] = []
    for scan in scans:
        first = taken.setdefault(scan.folder / scan.name.stem, scan)
        if first is not scan:
            doubles.append(Skip(source=scan.path, reason=f"its result would have the name of that of {first.path}"))
    return list(taken.values()), doubles
