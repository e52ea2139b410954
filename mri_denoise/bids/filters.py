"""Filter files as fMRIPrep's users write them (``--bids-filter-file``).

The file is a JSON object of queries, such as ``{"t1w": {"session": "02", "acquisition": null}}``. An image that a query
is about must match it; images that none is about are taken.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mri_denoise.bids.files import read_json
from mri_denoise.bids.kinds import SUFFIXES
from mri_denoise.bids.names import ENTITIES, BidsName, bare_label, same_label
from mri_denoise.errors import InputError

# pybids writes some of them shorter
_SHORT = {long: short for short, long in ENTITIES.items()} | {"inv": "inv", "mt": "mt", "desc": "desc", "proc": "proc"}
_NONE, _ANY = "Query.NONE", "Query.ANY"
_ABOUT = ("suffix", "datatype")
_EXTENSION = "extension"
_SUFFIXES = {suffix.lower() for suffixes in SUFFIXES.values() for suffix in suffixes}
_EXAMPLE = '{"session": "02"}'
_IGNORED = ("regex_search", "scope", "return_type", "invalid_filters", "target")


@dataclass(frozen=True, kw_only=True)
class Filters:
    """The queries of a filter file.

    Args:
        queries: by their names. The name says which suffix a query is about (``t1w``: T1w), unless it has a ``suffix``
            or a ``datatype``.

    Examples:
        >>> from mri_denoise.bids.names import parse
        >>> filters = Filters(queries={"t1w": {"session": ["01", "02"], "acquisition": None}})
        >>> filters.match(parse("sub-1_ses-02_T1w.nii"), "anat"), filters.match(parse("sub-1_ses-03_T1w.nii"), "anat")
        (True, False)
        >>> filters.match(parse("sub-1_ses-03_T2w.nii"), "anat")
        True
    """

    queries: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def match(self, name: BidsName, datatype: str) -> bool:
        """Whether an image is taken.

        Args:
            name: its name.
            datatype: the folder it lies in (``anat``).
        """
        about = [query for key, query in self.queries.items() if _is_about(key, query, name, datatype)]
        return not about or any(_matches(query, name, datatype) for query in about)


def read_filters(path: Path) -> Filters:
    """Read a filter file.

    Raises:
        InputError: if it cannot be read, or a query is none.
    """
    queries = read_json(path)
    for key, query in queries.items():
        if not isinstance(query, dict):
            raise InputError(f"{path}: {key}: must be an object of entities, such as {_EXAMPLE}")
        unknown = [entity for entity in query if _field(entity) is None and entity not in _IGNORED]
        if query.get("regex_search"):
            _check_patterns(path, key, query)
        if unknown:
            raise InputError(f"{path}: {key}: {unknown[0]} is no entity of BIDS; use names such as session or run")
    return Filters(queries=queries)


def _check_patterns(path: Path, key: str, query: Mapping[str, Any]) -> None:
    """InputError for a label that is no regular expression."""
    for wanted in query.values():
        for one in wanted if isinstance(wanted, list) else [wanted]:
            try:
                re.compile(str(one))
            except re.error as error:
                raise InputError(f"{path}: {key}: {one} is no regular expression ({error})") from error


def _field(entity: str) -> str | None:
    """The short name of an entity, or ``suffix``, ``datatype`` or ``extension``; None if there is no such entity."""
    if entity in (*_ABOUT, _EXTENSION) or entity in ENTITIES:
        return entity
    return _SHORT.get(entity)


def _is_about(key: str, query: Mapping[str, Any], name: BidsName, datatype: str) -> bool:
    """Whether a query speaks of images of this kind: those that its name stands for, and those that it asks for."""
    held = {"suffix": name.suffix, "datatype": datatype}
    named = key.lower() in (name.suffix.lower(), datatype)
    kinds = [entity for entity in _ABOUT if entity in query]
    if "suffix" not in kinds and key.lower() in _SUFFIXES:
        return named  # {"t1w": {"datatype": "anat"}} says nothing of T2w
    return named or (bool(kinds) and all(_fits(held[entity], query[entity]) for entity in kinds))


def _matches(query: Mapping[str, Any], name: BidsName, datatype: str) -> bool:
    """Whether an image has the labels of a query."""
    search = bool(query.get("regex_search", False))
    for entity, wanted in query.items():
        short = _field(entity)
        if short is not None:
            own = {"suffix": name.suffix, "datatype": datatype, _EXTENSION: name.extension}
            held = {**own, **name.entities}.get(short)
            if not _fits(held, wanted, short, search=search):
                return False
    return True


def _fits(held: str | None, wanted: Any, entity: str = "", *, search: bool = False) -> bool:
    """Whether a label is the wanted one, or one of the wanted ones."""
    if isinstance(wanted, list):
        return any(_fits(held, one, entity, search=search) for one in wanted)
    if wanted is None or wanted == _NONE:
        return held is None
    if wanted in (_ANY, "*"):
        return held is not None
    if held is None:
        return False
    if search:
        return re.search(str(wanted), held) is not None
    if entity == _EXTENSION:
        return held == f".{str(wanted).removeprefix('.')}"  # older queries leave the first dot out
    return same_label(held, bare_label(str(wanted), entity))
