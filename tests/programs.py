"""What is around a test: external programs to compare with, and whether coverage is measured.

A missing program skips the test, except in continuous integration.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest


def outside_path() -> str:
    """The search path without this Python environment: pynetdicom puts programs there that bear dcmtk's names."""
    own = {Path(sys.prefix, "bin").resolve(), Path(sys.executable).parent.resolve()}
    return os.pathsep.join(
        p for p in os.environ.get("PATH", "").split(os.pathsep) if p and Path(p).resolve() not in own
    )


def need(name: str) -> str:
    """Find a program.

    Args:
        name: what is called on the command line, for instance ``dciodvfy``.

    Returns:
        Its path. Where it is missing the test is skipped, or fails if the environment variable CI is set.
    """
    path = shutil.which(name, path=outside_path())
    if path is None:
        message = f"{name} is not installed"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return path


def measures_coverage() -> bool:
    """Whether pytest-cov is at work here: it slows this process and those that it starts."""
    coverage = sys.modules.get("coverage")
    return coverage is not None and coverage.Coverage.current() is not None
