"""An image of a raw data set: where it lies and what it is called."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mri_denoise.bids.names import BidsName


@dataclass(frozen=True, kw_only=True)
class Scan:
    """An image of a raw data set.

    Args:
        path: the file.
        folder: where it lies, relative to the root of the data set (``sub-01/ses-1/anat``).
        name: its name.
    """

    path: Path
    folder: Path
    name: BidsName

    @property
    def label(self) -> str:
        """How messages and records name it: its path in the data set, its entities in the order that the file has."""
        return (self.folder / self.path.name).as_posix()
