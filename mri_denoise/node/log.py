"""Log lines: time, what happened, and to which series; of the images' headers nothing but UIDs."""

from __future__ import annotations

import json
import sys
import threading
from datetime import datetime, timezone
from typing import IO, Any


class Log:
    """Writes a line for each event, from any thread.

    Args:
        stream: where to; standard error by default.
        as_json: each line a JSON object.
    """

    def __init__(self, stream: IO[str] | None = None, *, as_json: bool = False) -> None:
        self._stream, self._json, self._lock = stream or sys.stderr, as_json, threading.Lock()

    def __call__(self, event: str, **fields: Any) -> None:
        """Write one event with its fields."""
        time = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        if self._json:
            line = json.dumps({"time": time, "event": event, **fields}, default=str)
        else:
            line = " ".join([time, event, *(f"{key}={_printed(value)}" for key, value in fields.items())])
        with self._lock:
            print(line, file=self._stream, flush=True)


def _printed(value: Any) -> str:
    """One word, or quoted; a peer cannot break a line or write control characters."""
    text = str(value)
    return text if text.isascii() and text.isprintable() and " " not in text and text else json.dumps(text)
