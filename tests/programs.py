"""External programs that tests compare with: a missing one skips the test, except in continuous integration."""

from __future__ import annotations

import os
import shutil

import pytest


def need(name: str) -> str:
    """Find a program.

    Args:
        name: what is called on the command line, for instance ``dciodvfy``.

    Returns:
        Its path. Where it is missing the test is skipped, or fails if the environment variable CI is set.
    """
    path = shutil.which(name)
    if path is None:
        message = f"{name} is not installed"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return path
