"""``--json``: what a command prints for programs, also where it ends with one line."""

from __future__ import annotations

import json
import math
from typing import Any

import typer


class _Output:
    """Whether the command that runs prints JSON, and whether it has done so."""

    wanted = False
    printed = False


def json_option(help: str = "Print JSON.") -> Any:
    """The option ``--json`` of a command.

    Args:
        help: what ``--help`` says of it.
    """
    return typer.Option("--json", callback=begin, help=help)


def print_json(value: Any) -> None:
    """JSON on standard output; NaN and infinity, which JSON does not know, become null."""
    _Output.printed = True
    print(json.dumps(_finite(value), indent=2, default=str))


def print_error(message: str) -> None:
    """Where JSON is wanted and none was printed, ``{"error": message}`` instead."""
    if _Output.wanted and not _Output.printed:
        print_json({"error": message})


def begin(wanted: bool = False) -> bool:
    """A command begins: several may run in one process. Called again with the value of its option, if it has it."""
    _Output.wanted, _Output.printed = wanted, False
    return wanted


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
