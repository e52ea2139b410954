"""How a benchmark says how far it is. The command line shows it; in Python nothing is shown by default."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Step(Protocol):
    """Counts the steps of a stage."""

    def __call__(self, advance: int = 1, doing: str = "") -> None:
        """Count steps.

        Args:
            advance: how many steps are done since the last call.
            doing: what comes next, in a few words.
        """


class Progress(Protocol):
    """Shows what a benchmark does."""

    def say(self, what: str) -> None:
        """Show one line: what begins now."""

    def stage(self, title: str, total: int | None = None) -> AbstractContextManager[Step]:
        """Begin a stage.

        Args:
            title: what is done, or an empty text.
            total: number of its steps, where it is known.

        Returns:
            a context manager; the function that it gives counts steps, and the stage ends with it.
        """


class _Silent:
    """Shows nothing."""

    def say(self, what: str) -> None:
        pass

    @contextmanager
    def stage(self, title: str, total: int | None = None) -> Iterator[Step]:
        yield lambda advance=1, doing="": None


SILENT: Progress = _Silent()
