"""A stand-in for the program ``mri-denoise`` that writes down how it was called, and one that is the real thing."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOTES = "calls.json"


def write_program(folder: Path, name: str, code: str) -> Path:
    """A program of this Python.

    Args:
        folder: where it is put; it is made if it is missing.
        name: of the program.
        code: what it runs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{code}", encoding="utf-8")
    path.chmod(0o755)
    return path


def recorder(folder: Path, name: str = "mri-denoise", says: str = "", code: int = 0) -> Path:
    """A program that appends its words, and its variables SLURM_*, to ``calls.json`` beside it."""
    return write_program(
        folder,
        name,
        "import json, os, pathlib, sys\n"
        f"notes = pathlib.Path({str(folder / NOTES)!r})\n"
        "calls = json.loads(notes.read_text()) if notes.exists() else []\n"
        "kept = {k: v for k, v in os.environ.items() if k in ('LIST', 'PER_TASK', 'PYTHONHOME')}\n"
        "notes.write_text(json.dumps([*calls, {'words': sys.argv[1:], 'environment': kept}]))\n"
        f"print({says!r}, end='')\n"
        f"sys.exit({code})\n",
    )


def calls(folder: Path) -> list[list[str]]:
    """The words of each call of a recorder."""
    return [call["words"] for call in notes(folder)]


def notes(folder: Path) -> list[dict[str, object]]:
    """What the recorders in a folder wrote down."""
    path = folder / NOTES
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def real_program(folder: Path) -> Path:
    """The command line of this source tree as a program."""
    return write_program(
        folder,
        "mri-denoise",
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "sys.argv[0] = 'mri-denoise'\n"
        "from mri_denoise.cli.main import app\n"
        "app()\n",
    )


def environment(programs: Path, **more: str) -> dict[str, str]:
    """The environment with these programs first on PATH."""
    return {**os.environ, "PATH": os.pathsep.join([str(programs), os.environ["PATH"]]), **more}
