"""Files that are written some volumes at a time."""

from __future__ import annotations

from collections.abc import Generator
from typing import Generic, TypeVar

import numpy as np

T = TypeVar("T")


class SteppedWriter(Generic[T]):
    """Writes arrays as they come; nothing is at its destination before :meth:`finish`.

    Args:
        steps: a generator that takes arrays, then None, and returns what :meth:`finish` gives; what it opened, it
            removes when it is closed early.
    """

    def __init__(self, steps: Generator[None, np.ndarray | None, T]) -> None:
        self._steps = steps
        next(steps)

    def put(self, array: np.ndarray) -> None:
        """Write the next volumes, shape (T, X, Y, Z)."""
        self._steps.send(array)

    def finish(self) -> T:
        """Put the file into its place, after the last volume.

        Raises:
            ValueError: before the last volume.
        """
        try:
            self._steps.send(None)
        except StopIteration as end:
            return end.value
        raise ValueError("finish() before the last volume")

    def abandon(self) -> None:
        """Leave nothing behind."""
        self._steps.close()
