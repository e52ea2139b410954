"""Results on disk, one file each, so that a benchmark that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from mri_denoise import record as provenance

PROTOCOL = 1  # to be raised when scores come to mean something else


class ResultCache:
    """Results by what they depend on.

    Args:
        folder: where they are; made when the first one is stored.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: dict[str, Any]) -> Path:
        """The file of the result that depends on ``key``: its name is the key's SHA-256."""
        text = json.dumps(key | {"protocol": PROTOCOL}, sort_keys=True)
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"

    def load(self, key: dict[str, Any]) -> dict[str, Any] | None:
        """The result, or None where there is none, or one that cannot be read."""
        try:
            content = json.loads(self.path(key).read_text(encoding="utf-8"))
            result = content["result"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return result if isinstance(result, dict) else None

    def store(self, key: dict[str, Any], result: dict[str, Any]) -> None:
        """Keep a result, whole or not at all.

        Raises:
            OutputError: if it cannot be written.
        """
        provenance.write_record({"key": key | {"protocol": PROTOCOL}, "result": result}, self.path(key))
