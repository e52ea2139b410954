"""From the plain values of a YAML file to dataclasses, every error naming the key."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from mri_denoise.errors import InputError

T = TypeVar("T")
_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false", Path: "a path"}


def limited(default: Any, low: float, high: float) -> Any:
    """A dataclass field for a number within bounds, both included."""
    return dataclasses.field(default=default, metadata={"low": low, "high": high})


def build(kind: type[T], data: Any, where: str = "") -> T:
    """Make a dataclass from a mapping, nested ones included.

    Args:
        kind: a dataclass; its `__post_init__` may raise ValueError, which is told with the key.
        data: what YAML gave.
        where: the key of `data`, as ``listen`` or ``rules[2]``; empty for the whole file.

    Raises:
        InputError: for an unknown, missing or unusable key.
    """
    if not isinstance(data, Mapping):
        raise InputError(f"settings: {where or 'the file'}: must be a mapping of keys to values")
    hints = get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    dotted = f"{where}." if where else ""
    for key in data:
        if key not in fields:
            raise InputError(f"settings: {dotted}{key}: no such key; there are {', '.join(fields)}")
    values = {}
    for name, field in fields.items():
        if name in data:
            values[name] = _value(hints[name], data[name], f"{dotted}{name}", field.metadata)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise InputError(f"settings: {dotted}{name}: is missing")
    try:
        return kind(**values)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"settings: {dotted}{error}") from error


def _value(kind: Any, value: Any, where: str, bounds: Mapping[str, float]) -> Any:
    """One value of the type that the dataclass declares."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        [kind] = [one for one in arguments if one is not type(None)]
        return _value(kind, value, where, bounds)
    if origin is Literal:
        if value not in arguments or isinstance(value, bool):
            raise InputError(f"settings: {where}: must be one of {', '.join(map(str, arguments))}, not {value!r}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise InputError(f"settings: {where}: must be a list")
        return tuple(_value(arguments[0], one, f"{where}[{k}]", {}) for k, one in enumerate(value))
    if origin is dict:
        if not isinstance(value, Mapping):
            raise InputError(f"settings: {where}: must be a mapping of keys to values")
        return {str(key): _value(arguments[1], one, f"{where}.{key}", {}) for key, one in value.items()}
    if dataclasses.is_dataclass(kind):
        return build(kind, value, where)  # type: ignore[arg-type]
    return _plain(kind, value, where, bounds)


def _plain(kind: Any, value: Any, where: str, bounds: Mapping[str, float]) -> Any:
    """Text, number, truth value or path."""
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if kind is Path and isinstance(value, str | Path) and str(value):
        return Path(value).expanduser()
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise InputError(f"settings: {where}: must be {_WORDS[kind]}, not {value!r}")
    if bounds and not bounds["low"] <= value <= bounds["high"]:
        raise InputError(f"settings: {where}: must be {bounds['low']:g} to {bounds['high']:g}, not {value}")
    return value
