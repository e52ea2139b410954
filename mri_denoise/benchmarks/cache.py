"""Results on disk, one file each, so that a benchmark that was stopped can continue."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from mri_denoise.record import write_record

PROTOCOL = 2  # raise it when the meaning of the scores or their layout changes

Json: TypeAlias = "None | bool | int | float | str | list[Json] | dict[str, Json]"


class ResultCache:
    """Results, each found by what it depends on.

    Args:
        folder: where they are kept; made when the first one is stored.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     cache = ResultCache(Path(folder))
        ...     cache.store({"method": "median", "seed": 0}, {"psnr": 30.5})
        ...     cache.load({"seed": 0, "method": "median"}), cache.load({"method": "median", "seed": 1})
        ({'psnr': 30.5}, None)
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: Mapping[str, Json]) -> Path:
        """The file of the result that depends on ``key``; its name is the SHA-256 of the key."""
        text = json.dumps({**key, "protocol": PROTOCOL}, sort_keys=True)
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"

    def load(self, key: Mapping[str, Json]) -> Json:
        """The result, or None where there is none or its file cannot be read."""
        content = read_json(self.path(key))
        return content.get("result") if isinstance(content, dict) else None

    def store(self, key: Mapping[str, Json], result: Json) -> None:
        """Keep a result, whole or not at all.

        Raises:
            OutputError: if it cannot be written.
        """
        write_record({"key": {**key, "protocol": PROTOCOL}, "result": result}, self.path(key))

    def recall(self, key: Mapping[str, Json], make: Callable[[], Json]) -> Json:
        """The result from the cache, or else a new one, which is kept.

        Args:
            key: what the result depends on.
            make: makes the result; what it raises passes through, and nothing is kept.

        Raises:
            OutputError: if the result cannot be written.
        """
        result = self.load(key)
        if result is None:
            result = make()
            self.store(key, result)
        return result


def read_json(path: Path) -> Json:
    """The content of a JSON file; None where it cannot be read."""
    try:
        content: Json = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content
