"""Whether a scan's result is there and still what a run would make."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mri_denoise.bundles.registry import Bundle, Model
from mri_denoise.bundles.weights import sha256
from mri_denoise.errors import InputError
from mri_denoise.io.case import Case
from mri_denoise.io.files import reading
from mri_denoise.settings import Extra, Settings

SUFFIXES: Mapping[Extra, str] = {"residual": "_residual", "noise-map": "_noise", "figure": "_figure"}


def model_of(bundle: Bundle) -> Model:
    """What is recorded of a bundle, without loading it.

    Raises:
        InputError: if its weights cannot be read.
    """
    with reading(bundle.weights):
        return Model(name=bundle.name, version=bundle.version, weights_sha256=sha256(bundle.weights))


def read_record(case: Case, output: Path) -> dict[str, Any] | None:
    """The run record of a case; None if there is none, or it is not whole.

    Args:
        case: of a layout.
        output: the folder of the results.
    """
    try:
        record = json.loads(case.companion(output, "", ".json").read_bytes())
        complete = isinstance(record, dict) and {"model", "settings", "inputs", "outputs"} <= record.keys()
    except (OSError, ValueError):
        return None
    return record if complete else None


def why_not_current(case: Case, output: Path, model: Model, settings: Settings, options: frozenset[str]) -> str:
    """Why a case must be denoised, in a few words; empty if its result is what a run would make.

    Args:
        case: of a layout.
        output: the folder of the results.
        model: that would denoise it.
        settings: the user's choices.
        options: names of the bundle's config.

    Raises:
        InputError: if the source cannot be read.
    """
    record = read_record(case, output)
    if record is None:
        return "not done yet"
    wanted = [output / case.output, *(case.companion(output, SUFFIXES[extra]) for extra in settings.extras)]
    missing = [path for path in wanted if not path.is_file()]
    if missing:
        return f"{missing[0].relative_to(output).as_posix()} is missing"
    try:
        then = Model(**record["model"])
        hashes = [entry["sha256"] for entry in record["inputs"]]
        chosen = dict(record["settings"])
    except (TypeError, KeyError):
        return "its run record cannot be used"
    if then != model:
        return "the model or its weights changed"
    differing = [name for name, value in settings.choices(options).items() if name in chosen and chosen[name] != value]
    if differing:
        return f"settings changed ({', '.join(differing)})"
    return "" if hashes == [_hash(path) for path in case.sources] else "its source changed"


def forget(case: Case, output: Path, settings: Settings) -> None:
    """Before a case is denoised again: remove its record, and companions that would no longer fit the result.

    The record goes first, so that a run that is killed now leaves no record of a result that it replaced.

    Raises:
        InputError: if they cannot be removed.
    """
    stale = [suffix for extra, suffix in SUFFIXES.items() if extra not in settings.extras]
    for suffix in ("", *stale):
        path = case.companion(output, suffix)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise InputError(f"{path}: cannot be removed ({error.strerror}); change its access rights") from error


def _hash(path: Path) -> str:
    with reading(path):
        return sha256(path)
