"""The table of a run: a row a case as it ends, on disk at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from itertools import count
from pathlib import Path
from typing import TextIO

from mri_denoise.errors import OutputError, printable
from mri_denoise.io.case import Case
from mri_denoise.median_level import median_level
from mri_denoise.record import RunRecord

COLUMNS = ("input", "output", "status", "seconds", "sigma", "message", "worker")
_NOTHING = "n/a"  # as in the tables of BIDS


class Table:
    """Rows of a TSV file that is open.

    Args:
        stream: the file.
        folder: what ``Case.output`` is relative to.
    """

    def __init__(self, stream: TextIO, folder: Path) -> None:
        self._stream, self._folder = stream, folder
        self._write(COLUMNS)

    def add(self, case: Case, record: RunRecord | None, error: str | None, worker: str) -> None:
        """Write the row of a case.

        Args:
            case: which one.
            record: its run record, if it was done.
            error: why it failed, otherwise.
            worker: who did it; empty if nobody did.
        """
        source = case.sources[0].parent if case.series else case.sources[0]
        sigma = f"{median_level(record.sigma):.6g}" if record and record.sigma else _NOTHING
        seconds = f"{record.seconds:.1f}" if record else _NOTHING
        status = "failed" if record is None else "done"
        row = (
            str(source),
            str(self._folder / case.output),
            status,
            seconds,
            sigma,
            error or _NOTHING,
            worker or _NOTHING,
        )
        self._write(row)

    def _write(self, values: tuple[str, ...]) -> None:
        self._stream.write("\t".join(printable(value) for value in values) + "\n")
        self._stream.flush()


@contextmanager
def open_table(logs: Path, folder: Path) -> Iterator[Table]:
    """Begin a table of a name that no file has.

    Args:
        logs: the folder that it lies in; it is made.
        folder: what ``Case.output`` is relative to.

    Yields:
        the table. Each row is in the file when :meth:`Table.add` returns.

    Raises:
        OutputError: if it cannot be written.
    """
    time = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    names = (f"mri-denoise-{time}{f'-{number}' if number else ''}.tsv" for number in count())
    try:
        logs.mkdir(parents=True, exist_ok=True)
        stream = next(filter(None, (_create(logs / name) for name in names)))
    except OSError as error:
        raise OutputError(
            f"{logs}: the table of this run cannot be written ({os.strerror(error.errno or 0)})"
        ) from error
    with stream:
        yield Table(stream, folder)


def _create(path: Path) -> TextIO | None:
    """A new file; None if there is one of that name."""
    try:
        return open(path, "x", encoding="utf-8", newline="\n")
    except FileExistsError:
        return None
