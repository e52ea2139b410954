"""External programs that tests compare with: a missing one skips the test, except in continuous integration."""

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
