"""The run record: what was done to which input, by which weights, with what settings."""

from __future__ import annotations

import json
import platform
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mri_denoise import __version__
from mri_denoise.io.files import write_beside

PACKAGES = ("torch", "monai", "numpy", "nibabel", "pydicom")


def versions() -> dict[str, str]:
    """Versions of Python, of this package and of those that shape the result."""
    found = {"python": platform.python_version(), "mri-denoise": __version__}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # a source tree without installed metadata
            continue
    return found


def now() -> str:
    """The present time, UTC, ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def write_record(record: dict[str, Any], path: Path) -> Path:
    """Write ``record`` as JSON to ``path``, whole or not at all.

    Raises:
        OutputError: if it cannot be written.
    """
    with write_beside(path) as partial:
        partial.write_text(json.dumps(record, indent=2, default=str) + "\n", encoding="utf-8")
    return path
