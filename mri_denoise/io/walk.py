"""Walk through a folder with all that lies below it."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path


def walk(
    root: Path, failed: Callable[[OSError], None], left_out: Callable[[Sequence[str]], Collection[str]] = lambda _: ()
) -> Iterator[Path]:
    """Yield the files below a folder, sorted within each; hidden files and folders are passed over.

    Links to folders are followed, each folder once.

    Args:
        root: the folder.
        failed: is told of each folder that cannot be opened; the error has its name.
        left_out: the subfolders that are not entered, given the names of the files beside them.
    """
    seen: set[str] = set()
    for folder, subfolders, files in os.walk(root, onerror=failed, followlinks=True):
        real, unwanted = os.path.realpath(folder), left_out(files)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith(".") and name not in unwanted)
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        yield from (Path(folder, name) for name in sorted(files) if not name.startswith("."))
