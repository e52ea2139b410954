"""Options and paths that commands check before anything is computed: each ends the command with code 2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mri_denoise.cli.common import WRONG_USAGE, one_line_errors, stop


def numbers(option: str, text: str, kind: Callable[[str], float]) -> list[float]:
    """The numbers of an option with commas between them, each once; ends with code 2 for anything else."""
    try:
        return list(dict.fromkeys(kind(word) for word in text.split(",")))
    except ValueError:
        stop(f"{option} {text}: must be numbers with commas between them.", WRONG_USAGE)


def parse_settings(settings: list[str] | None) -> dict[str, Any]:
    """Values of a config to change, from ``KEY=VALUE`` with the value in YAML; ends with code 2 for anything else."""
    import yaml

    overrides = {}
    for setting in settings or []:
        key, separator, value = setting.partition("=")
        if not separator or not key.strip():
            stop(f"--set {setting}: must be KEY=VALUE.", WRONG_USAGE)
        try:
            overrides[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            stop(f"--set {setting}: its value is not YAML; put text with special characters in quotes.", WRONG_USAGE)
    return overrides


def check_device(device: str) -> None:
    """End with code 2 for a device that does not exist, before hours are spent."""
    from mri_denoise.runtime import choose_device

    with one_line_errors(WRONG_USAGE):
        choose_device(device)


def need_folder(output: Path) -> None:
    """End with code 2 where the output is a file."""
    if output.exists() and not output.is_dir():
        stop(f"{output}: is a file, but the results need a folder.", WRONG_USAGE)


def must_be_folder(source: Path) -> None:
    """End with code 2 where an input is no folder."""
    if not source.is_dir():
        problem = "is a file, but a folder is needed" if source.exists() else "no such folder"
        stop(f"{source}: {problem}.", WRONG_USAGE)
