"""A writer whose work is a generator, for formats that are written some volumes at a time."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from mri_denoise.io.case import Derivation


class SteppedWriter:
    """A `mri_denoise.io.formats.VolumeWriter` whose work is a generator.

    Args:
        steps: takes arrays, then None, and returns the files written. Its context managers remove what it opened if it
            is closed early.
    """

    def __init__(self, steps: Generator[None, np.ndarray | None, list[Path]]) -> None:
        self._steps = steps
        next(steps)

    def put(self, array: np.ndarray) -> None:
        """Write the next volumes, shape (T, X, Y, Z)."""
        self._steps.send(array)

    def finish(self, derivation: Derivation | None = None) -> list[Path]:
        """Move the files to their destination, after the last volume; the derivation is not recorded.

        Raises:
            ValueError: Volumes are missing.
        """
        try:
            self._steps.send(None)
        except StopIteration as end:
            files: list[Path] = end.value
            return files
        raise ValueError("finish() before the last volume")

    def abandon(self) -> None:
        """Remove what was written so far."""
        self._steps.close()
