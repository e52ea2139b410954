"""The files of a noisy copy: the image, what lies beside it, and its record appear together or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mri_denoise.io import Case
from mri_denoise.io.staging import Staging


@contextmanager
def published_together(case: Case, folder: Path, beside: Sequence[Path]) -> Iterator[tuple[Staging, list[Path]]]:
    """Write files where nobody looks, and give them their names at the end of the block.

    Files that exist are replaced, but for those that the copy is made of.

    Args:
        case: the image that is copied.
        folder: what ``case.output`` is relative to.
        beside: the other files, by their final names.

    Yields:
        where to write; and a list to which the files that were written there are added.

    Raises:
        OutputError: if a file would replace one of the case, or cannot be written; none of them is there then.
    """
    files = Staging([*case.outputs(folder), *beside])
    written: list[Path] = []
    try:
        with files.errors_by_final_name():
            yield files, written
            files.publish([files.final(path) for path in written], case.sources, overwrite=True)
            files.seal()
    except BaseException:
        files.abandon()
        raise
