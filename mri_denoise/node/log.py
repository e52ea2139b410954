"""The node's log, by the standard library: an event and its fields in a line.

Modules log events with their fields as ``extra``: ``logger.info("sent", extra={"series": uid, "images": 4})``. Of the
images' headers only UIDs are logged. What a peer sent is text that nobody trusts: it is cut short, and cannot break a
line or hold control characters. Warnings of libraries quote such text, so that only their place is logged.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import TextIO

NODE = "mri_denoise.node"
LONGEST = 300
_LIBRARIES = ("pynetdicom", "pydicom", "dicomweb_client", "urllib3")
_OF_LOGGING = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_PLAIN = (bool, int, float)
logger = logging.getLogger(__name__)


def first_line(error: Exception) -> str:
    """The first line of a message, not too long; pydicom puts tracebacks on those that follow."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:LONGEST]


def fields(record: logging.LogRecord) -> dict[str, object]:
    """What a record has beyond the standard library's own attributes."""
    return {name: value for name, value in record.__dict__.items() if name not in _OF_LOGGING}


class Bounded(logging.Filter):
    """Turns every field of a record to a number or a text of at most `LONGEST` characters."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record in place; it is always logged."""
        for name, value in fields(record).items():
            if not isinstance(value, _PLAIN):
                text = str(value)
                record.__dict__[name] = text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
        return True


class KeyValueFormatter(logging.Formatter):
    """``TIME EVENT key=value``, with the time in UTC; a value that is no single plain word is quoted as in JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        pairs = [f"{name}={_quoted(value)}" for name, value in fields(record).items()]
        return " ".join([_time(record), record.getMessage(), *pairs])


class JsonFormatter(logging.Formatter):
    """An object with ``time``, ``event`` and the fields."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, in ASCII."""
        return json.dumps({"time": _time(record), "event": record.getMessage(), **fields(record)}, default=str)


def handler(stream: TextIO | None = None, *, as_json: bool = False) -> logging.Handler:
    """A handler that writes the node's lines.

    Args:
        stream: where to; standard error by default.
        as_json: each line a JSON object.
    """
    made = logging.StreamHandler(stream or sys.stderr)
    made.addFilter(Bounded())
    made.setFormatter(JsonFormatter() if as_json else KeyValueFormatter())
    return made


@contextmanager
def logging_to(stream: TextIO | None = None, *, as_json: bool = False) -> Iterator[None]:
    """Let this process log what a node does, and nothing else: no warning, no traceback, no library's own log.

    Args:
        stream: where to; standard error by default.
        as_json: each line a JSON object.

    Yields:
        Nothing. Leaving the block undoes it.
    """
    with ExitStack() as undo:
        node, made = logging.getLogger(NODE), handler(stream, as_json=as_json)
        undo.callback(node.removeHandler, made)
        undo.callback(node.setLevel, node.level)
        node.addHandler(made)
        node.setLevel(logging.INFO)
        for name in _LIBRARIES:  # they would log identifiers, and tracebacks that hold them
            library = logging.getLogger(name)
            undo.callback(library.setLevel, library.level)
            library.setLevel(logging.CRITICAL + 1)
        undo.enter_context(warnings.catch_warnings())  # restores the filters and `showwarning`
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)  # "default" would remember every text that a peer can think of
        warnings.showwarning = _warning_logger()
        undo.callback(setattr, threading, "excepthook", threading.excepthook)
        threading.excepthook = _log_end_of_thread
        yield


def _warning_logger() -> Callable[..., None]:
    """In the place of `warnings.showwarning`: logs each place in the code once, and not the text."""
    seen: set[str] = set()

    def show(_message: object, category: type[Warning], filename: str, lineno: int, *_: object) -> None:
        place = f"{Path(filename).name}:{lineno}"
        if place not in seen:
            seen.add(place)
            logger.warning("warning of a library", extra={"category": category.__name__, "where": place})

    return show


def _log_end_of_thread(arguments: threading.ExceptHookArgs) -> None:
    """Log where a thread ended by an exception, whose text may quote a peer."""
    name = arguments.exc_type.__name__
    logger.error("error", extra={"where": _place(arguments.exc_traceback), "reason": name})


def _place(traceback: TracebackType | None) -> str:
    """File and line where an exception was raised."""
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return "?" if traceback is None else f"{Path(traceback.tb_frame.f_code.co_filename).name}:{traceback.tb_lineno}"


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")


def _quoted(value: object) -> str:
    text = str(value)
    return text if text.isascii() and text.isprintable() and " " not in text and text else json.dumps(text)
