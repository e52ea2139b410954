"""Files whose damaged lengths reserve no memory."""

from __future__ import annotations

import io
import os
from pathlib import Path

_SMALL = 1 << 16


class BoundedFile(io.BufferedReader):
    """A file opened for reading, whose `read` asks for no more than is left.

    Python reserves what is asked for before it reads: a length of 2 GiB in a file of 2 KiB would take 2 GiB.

    Args:
        path: the file.

    Raises:
        OSError: It cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(os.fspath(path)))  # by its name pydicom opens it again for values it left there
        self._size = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """Read up to `size` bytes; all that are left by default."""
        if size is not None and size > _SMALL:
            size = min(size, max(self._size - self.tell(), 0))
        return super().read(size)
