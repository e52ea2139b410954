"""What every section of the settings file has in common, and one line for what pydantic finds wrong in it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Strict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError

from mri_denoise.errors import InputError

T = TypeVar("T")
S = TypeVar("S", bound="Section")
Steps = tuple[int | str, ...]
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a number",
    "bool": "true or false",
    "string": "text",
    "tuple": "a list",
    "dict": "a mapping of keys to values",
    "model": "a mapping of keys to values",
}
_LONGEST = 60


class Section(BaseModel):
    """A mapping of the settings file: cannot be changed, takes no unknown key and no value of another type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def _to_path(value: object) -> Path:
    if not isinstance(value, str | os.PathLike) or not str(value):
        raise ValueError(f"must be a path, not {_shown(value)}")
    return Path(value).expanduser()


List = Annotated[tuple[T, ...], Strict(False)]
"""A list of YAML, kept as a tuple."""
FilePath = Annotated[Path, BeforeValidator(_to_path)]
"""A path; a leading ``~`` is the home folder."""


def wrong_key(key: str, problem: str) -> PydanticCustomError:
    """The error that a validator of a whole section raises about one of its keys.

    Args:
        key: relative to the section.
        problem: what is wrong with its value.
    """
    return PydanticCustomError("wrong_key", "{key}: {problem}", {"key": key, "problem": problem})


def validate(kind: type[S], data: object) -> S:
    """Make a section from what YAML gave.

    Args:
        kind: the section of the whole file.
        data: mappings, lists and plain values.

    Raises:
        InputError: in one line that names the key (``rules[1].strength``), says what is wrong and what would be right.
    """
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        # a misspelt key comes before the one that is missing for it
        found = sorted(error.errors(include_url=False), key=lambda one: one["type"] != "extra_forbidden")
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    raise InputError(f"settings: {_line(kind, found[0])}{more}")


def _line(kind: type[Section], error: ErrorDetails) -> str:
    """Key, problem and remedy of one error."""
    where, problem = error["loc"], error["type"]
    if where and where[-1] == "[key]":  # pydantic's mark for the key of a mapping itself
        where = where[:-1]
    context = error.get("ctx", {})
    if problem == "wrong_key":
        return f"{_dotted((*where, context['key']))}: {context['problem']}"
    key = _dotted(where) or "the file"
    if problem == "extra_forbidden":
        section = _section(kind, where[:-1])
        return f"{key}: no such key; there are {', '.join(section.model_fields)}"
    if problem == "invalid_key":
        return f"{_dotted(where[:-1]) or 'the file'}: the key {where[-1]} must be text"
    if problem == "missing":
        return f"{key}: is missing"
    if problem == "value_error":
        return f"{key}: {context['error']}"
    return f"{key}: must be {_expected(kind, error)}, not {_shown(error['input'])}"


def _expected(kind: type[Section], error: ErrorDetails) -> str:
    """What the value must be."""
    where, problem = error["loc"], error["type"]
    if problem == "literal_error":
        return "one of " + str(error["ctx"]["expected"]).replace(" or ", ", ").replace("'", "")
    field = _field(kind, where)
    if problem in ("greater_than_equal", "less_than_equal", "finite_number") and field is not None:
        bounds = {name: bound for name in ("ge", "le") for bound in _bounds(field, name)}
        return f"{bounds['ge']:g} to {bounds['le']:g}"
    return _KINDS.get(problem.split("_")[0], "something else")


def _bounds(field: FieldInfo, name: str) -> list[float]:
    """The lower (``ge``) or upper (``le``) bound that a field declares."""
    return [getattr(one, name) for one in field.metadata if hasattr(one, name)]


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _dotted(steps: Sequence[int | str]) -> str:
    """``rules[1].strength`` for the steps rules, 1, strength."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")


def _section(kind: type[Section], where: Steps) -> type[Section]:
    """The section at a place of the file."""
    for step in where:
        field = kind.model_fields.get(step) if isinstance(step, str) else None
        if field is not None:
            kind = next(_sections(field.annotation), kind)
    return kind


def _field(kind: type[Section], where: Steps) -> FieldInfo | None:
    """The declaration of the key at a place of the file."""
    names = [step for step in where if isinstance(step, str)]
    return _section(kind, tuple(names[:-1])).model_fields.get(names[-1]) if names else None


def _sections(annotation: object) -> Iterator[type[Section]]:
    """The sections within a type, as that of ``tuple[Peer, ...]`` or ``Tls | None``."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for inner in get_args(annotation):
        yield from _sections(inner)
