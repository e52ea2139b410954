"""Tell whether a result on disk is what a run would make, by its record; imports no torch."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mri_denoise import __version__
from mri_denoise.bundles.registry import Bundle
from mri_denoise.bundles.weights import sha256
from mri_denoise.io.absent import why_absent
from mri_denoise.io.case import Case
from mri_denoise.pipeline.effective import effective
from mri_denoise.pipeline.files import find_conflicts, planned_files, record_path, sweep_results
from mri_denoise.settings import Settings


class Resumption:
    """What a run would record of a bundle and its settings, to be held against the records on disk.

    Args:
        bundle: what would run.
        settings: the user's choices.
    """

    def __init__(self, bundle: Bundle, settings: Settings) -> None:
        self._settings = settings
        self._model = {"name": bundle.name, "version": bundle.version}
        self._model["weights_sha256"] = sha256(bundle.weights) if bundle.weights.is_file() else ""
        config = yaml.safe_load(bundle.config("inference.yaml").read_text(encoding="utf-8"))
        self._options = bundle.options
        self._fixed = {key: value for key, value in config.items() if not isinstance(value, str | list | dict)}
        self._recorded = (config.get("settings") or {}).keys()
        others = {name: path for name, path in bundle.other_weights.items() if name in self._recorded}
        self._others = {name: sha256(path) for name, path in others.items() if path.is_file()}

    def difference(self, case: Case, folder: Path) -> str | None:
        """Say how a result that exists differs from what a run would make.

        Args:
            case: what is denoised.
            folder: what ``Case.output`` is relative to.

        Returns:
            None if it is the same, by its record; otherwise what differs, in a few words.
        """
        from_run = [extra for extra in self._settings.extras if extra != "report"]  # pages are made from records, too
        planned = planned_files(case, folder, from_run)
        if missing := [path for path in planned if not path.exists()]:
            absent = why_absent(missing[0])  # as git-annex leaves a result whose content was dropped
            return f"{missing[0].name}: {absent}" if absent else f"lacks {missing[0].name}"
        try:
            if empty := [path for path in planned if path.stat().st_size == 0]:  # as a crash of the system leaves it
                return f"{empty[0].name} is empty"
            record = json.loads(record_path(case, folder).read_text(encoding="utf-8"))
            return next(self._differences(record, case), None)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return "its record cannot be read"

    def _differences(self, record: Mapping[str, Any], case: Case) -> Iterator[str]:
        made = record["versions"].get("mri-denoise")
        if made != __version__:
            yield f"made by mri-denoise {made}, this is {__version__}"
        for key, value in self._model.items():
            if record["model"][key] != value:
                yield f"made by other weights, {record['model']['name']} {record['model']['version']}"
        for name, value in self._others.items():
            if record["settings"].get(name) not in (None, value):  # None: they took no part
                yield f"made by other weights ({name})"
        for key in sorted(self._recorded - record["settings"].keys()):
            yield f"its record does not name the {key}"
        choices = {**self._fixed, **effective(self._settings, case).choices(self._options)}
        for key, value in record["settings"].items():
            if key in choices and value != choices[key]:
                yield f"made with {key} {value}, not {choices[key]}"
        if (tta := bool(record["settings"].get("tta"))) != self._settings.tta:
            yield f"made with{'' if tta else 'out'} tta"
        sources = [*case.sources, *([self._settings.sigma.path] if self._settings.sigma.path else [])]
        if [file["sha256"] for file in record["inputs"]] != [sha256(path) for path in sources]:
            yield "made of another input"


@dataclass(frozen=True, kw_only=True)
class Todo:
    """What is left to do of some cases.

    Args:
        ready: to be denoised.
        done: denoised before, by the same weights and settings.
        refused: which may not be written, each with the reason in one line.
    """

    ready: Sequence[Case]
    done: Sequence[Case]
    refused: Sequence[tuple[Case, str]]


def find_todo(cases: Sequence[Case], folder: Path, bundle: Bundle, settings: Settings) -> Todo:
    """Sort cases by whether they are still to be denoised, once what killed runs have left of them is removed.

    Args:
        cases: what was found.
        folder: what ``Case.output`` is relative to.
        bundle: what would run.
        settings: the user's choices.
    """
    sweep_results(cases, folder)
    conflicts = find_conflicts(cases, folder, settings)
    ready: list[Case] = []
    done: list[Case] = []
    refused: list[tuple[Case, str]] = []
    before: Resumption | None = None
    for number, case in enumerate(cases):
        planned = planned_files(case, folder, settings.extras)
        there = next((path for path in planned if os.path.lexists(path)), None)  # a broken link is not replaced either
        if number in conflicts:
            refused.append((case, f"{conflicts[number]}."))
        elif settings.overwrite or there is None:
            ready.append(case)
        else:
            before = before or Resumption(bundle, settings)
            differs = before.difference(case, folder)
            if differs is None:
                done.append(case)
            else:
                refused.append((case, f"{there}: exists ({differs}); use --overwrite to replace it."))
    return Todo(ready=ready, done=done, refused=refused)
