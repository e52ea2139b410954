"""Names of files in BIDS: entities in their order, a suffix and an extension (BIDS 1.10, "Filenames")."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

# short name -> the name that queries use, in the order that file names have (schema 1.10, rules/entities.yaml)
ENTITIES: Mapping[str, str] = {
    "sub": "subject",
    "tpl": "template",
    "ses": "session",
    "cohort": "cohort",
    "sample": "sample",
    "task": "task",
    "tracksys": "tracksys",
    "acq": "acquisition",
    "nuc": "nucleus",
    "voi": "volume",
    "ce": "ceagent",
    "trc": "tracer",
    "stain": "stain",
    "rec": "reconstruction",
    "dir": "direction",
    "run": "run",
    "mod": "modality",
    "echo": "echo",
    "flip": "flip",
    "inv": "inversion",
    "mt": "mtransfer",
    "part": "part",
    "proc": "processing",
    "hemi": "hemisphere",
    "space": "space",
    "split": "split",
    "recording": "recording",
    "chunk": "chunk",
    "atlas": "atlas",
    "seg": "segmentation",
    "scale": "scale",
    "res": "resolution",
    "den": "density",
    "label": "label",
    "desc": "description",
}
_ORDER = {name: place for place, name in enumerate(ENTITIES)}
_NAME = re.compile(
    r"(?P<entities>(?:[a-z]+-[a-zA-Z0-9+]+_)*)(?P<suffix>[a-zA-Z0-9]+)(?P<extension>(?:\.[a-zA-Z0-9]+)+)"
)


@dataclass(frozen=True, kw_only=True)
class BidsName:
    """The name of a file.

    Args:
        entities: labels by short name (``{"sub": "01", "task": "rest"}``).
        suffix: what the file is (``T1w``).
        extension: with its dot (``.nii.gz``).

    Examples:
        >>> name = parse("sub-01_task-rest_run-1_bold.nii.gz")
        >>> name.suffix, name.entities["task"], name.extension
        ('bold', 'rest', '.nii.gz')
        >>> str(name.with_entities(rec="denoised"))
        'sub-01_task-rest_rec-denoised_run-1_bold.nii.gz'
    """

    entities: Mapping[str, str]
    suffix: str
    extension: str

    def with_entities(self, **labels: str) -> BidsName:
        """The name with these labels in place of those it has."""
        return replace(self, entities={**self.entities, **labels})

    def without(self, *names: str) -> BidsName:
        """The name without some entities."""
        return replace(self, entities={name: label for name, label in self.entities.items() if name not in names})

    def called(self, suffix: str, extension: str) -> BidsName:
        """The name of a file that belongs to this one."""
        return replace(self, suffix=suffix, extension=extension)

    @property
    def stem(self) -> str:
        """The name without its extension."""
        return str(replace(self, extension=""))

    def __str__(self) -> str:
        ordered = sorted(self.entities.items(), key=lambda item: _ORDER.get(item[0], len(_ORDER)))
        return "_".join([*(f"{name}-{label}" for name, label in ordered), self.suffix]) + self.extension


def parse(name: str) -> BidsName | None:
    """Read the name of a file.

    Args:
        name: without folders.

    Returns:
        its parts; None if it is none of BIDS, or has an entity twice.

    Examples:
        >>> parse("T1.nii.gz") is None, parse("sub-01_sub-02_T1w.nii") is None
        (False, True)
    """
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    pairs = [word.partition("-")[::2] for word in match["entities"].split("_") if word]
    entities = dict(pairs)
    if len(entities) < len(pairs):
        return None
    return BidsName(entities=entities, suffix=match["suffix"], extension=match["extension"])


def bare_label(text: str, entity: str) -> str:
    """A label as users write it, without the entity's name before it.

    Examples:
        >>> bare_label("sub-01", "sub"), bare_label("01", "sub")
        ('01', '01')
    """
    return text.removeprefix(f"{entity}-")


def same_label(label: str, wanted: str) -> bool:
    """Whether two labels mean the same: numbers count as numbers (``run-1`` is ``run-01``)."""
    return label == wanted or (label.isdecimal() and wanted.isdecimal() and int(label) == int(wanted))


def belongs_to(file: BidsName, image: BidsName, ignoring: Collection[str] = ()) -> bool:
    """Whether a file higher up or beside an image applies to it: it has no entity that the image does not have.

    This is the inheritance principle (BIDS 1.10, "The Inheritance Principle", rule 2).

    Args:
        file: a sidecar or a table.
        image: the image.
        ignoring: entities of the file that do not count, as ``recording``.
    """
    mine = {(name, label) for name, label in file.entities.items() if name not in ignoring}
    return mine <= set(image.entities.items())
