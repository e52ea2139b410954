"""What is known of a scan's result on disk, and what must go before it is made again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mri_denoise.bundles.registry import Bundle, Model
from mri_denoise.bundles.weights import sha256
from mri_denoise.errors import InputError
from mri_denoise.io.case import Case
from mri_denoise.io.files import reading
from mri_denoise.pipeline.files import companion_path, planned_files, record_path
from mri_denoise.pipeline.resume import Resumption
from mri_denoise.settings import EXTRAS, Settings


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
        record = json.loads(record_path(case, output).read_bytes())
        complete = isinstance(record, dict) and {"model", "settings", "inputs", "outputs"} <= record.keys()
    except (OSError, ValueError):
        return None
    return record if complete else None


def why_due(case: Case, output: Path, resumption: Resumption) -> str:
    """Why a case must be denoised, in a few words; empty if its result is what a run would make.

    Args:
        case: of a layout.
        output: the folder of the results.
        resumption: of the run.

    Raises:
        InputError: if the source cannot be read.
    """
    if not any(path.exists() for path in planned_files(case, output, ())):
        return "not done yet"
    with reading(case.sources[0]):
        case.sources[0].open("rb").close()
        return resumption.difference(case, output) or ""


def forget(case: Case, output: Path, settings: Settings) -> None:
    """Before a case is denoised again: remove its record, and companions that would no longer fit the result.

    The record goes first, so that a run that is killed now leaves no record of a result that it replaced.

    Raises:
        InputError: if they cannot be removed.
    """
    stale = [companion_path(case, output, extra) for extra in EXTRAS if extra not in settings.extras]
    for path in (record_path(case, output), *stale):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise InputError(f"{path}: cannot be removed ({error.strerror}); change its access rights") from error
