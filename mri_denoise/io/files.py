"""Open files with one-line errors; write them beside their destination, then rename them into place."""

from __future__ import annotations

import errno
import gzip
import os
import re
import shutil
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from isal.igzip_lib import IsalError

from mri_denoise.errors import InputError, OutputError, system_reason
from mri_denoise.io.leftovers import Temporary

NIFTI_ENDINGS = (".nii", ".nii.gz")
"""What names of single-file NIfTI images end in, in small letters."""
IS_INPUT = "is an input and is not overwritten; choose another output"
"""What is said of a result that would replace an input."""


def natural(text: str) -> tuple[tuple[int, str], ...]:
    """Make a sorting key by which numbers in names count as numbers.

    Examples:
        >>> sorted(["IM10", "IM2", "im1"], key=natural)
        ['im1', 'IM2', 'IM10']
    """
    parts = re.split(r"(\d+)", text.casefold())
    return (*((int(part), "") if part.isdecimal() else (0, part) for part in parts), (0, text))


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what goes wrong while a file is read into one line for the user.

    Args:
        path: the file that the message names.

    Raises:
        InputError: The file is missing, is a folder, may not be read, is truncated, has damaged gzip data or does not
            fit into memory, or the operating system reports another error.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; check the path") from error
    except PermissionError as error:
        raise InputError(f"{path}: no permission to read it; change its access rights") from error
    except IsADirectoryError as error:
        raise InputError(f"{path}: is a folder where a file is needed") from error
    except EOFError as error:
        raise InputError(f"{path}: truncated; copy or download it again") from error
    except (zlib.error, IsalError, gzip.BadGzipFile) as error:  # type: ignore[misc]  # isal's stub is wrong
        raise InputError(f"{path}: damaged gzip data; copy or download it again") from error
    except MemoryError as error:
        raise InputError(f"{path}: too large for this computer's memory; cut it into parts") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({_why(error)})") from error


@contextmanager
def write_beside(path: Path, sources: Iterable[Path] = ()) -> Iterator[Path]:
    """Write a file whole or not at all: a temporary file in the same folder is renamed into place at the end.

    Args:
        path: the destination; its folders are made. An existing file is replaced.
        sources: files that must never be replaced.

    Yields:
        The temporary file (empty, hidden, with the suffix of `path`), to be written and closed inside the block.

    Raises:
        OutputError: The destination is one of `sources`, or the operating system refuses (no permission, full disk
            ...). Whatever error leaves the block, the temporary file is removed and the destination is as it was.

    Examples:
        >>> with write_beside(Path("record.json")) as temporary:  # doctest: +SKIP
        ...     temporary.write_text("{}")
    """
    for source in sources:
        if same_file(path, source):
            raise OutputError(f"{path}: {IS_INPUT}")
    suffix = "".join(path.suffixes[-2:]) if path.suffix in (".gz", ".GZ") else path.suffix
    temporary: Temporary | None = None
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = Temporary(path.parent, lambda new: new.touch(exist_ok=False), suffix=suffix)
            yield temporary.path
            sync(temporary.path)
            os.replace(temporary.path, path)
            sync(path.parent)
    finally:
        if temporary is not None:
            temporary.close()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the operating system refuses while a file or folder is written into one line for the user.

    Args:
        path: what the message names.

    Raises:
        OutputError: There is no permission, the disk is full ...
    """
    try:
        yield
    except OSError as error:
        remedy = "shorten its name" if error.errno == errno.ENAMETOOLONG else "free space or choose another output"
        raise OutputError(f"{path}: cannot be written ({_why(error)}); {remedy}") from error


def check_writable(folder: Path) -> None:
    """See whether a folder takes files, before hours are spent on what goes there; nothing is left in it.

    Args:
        folder: of the results; if there is none yet, the one above it counts.

    Raises:
        OutputError: There is no permission, the file system is read-only ...
    """
    with writing(folder):
        there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
        if not os.access(there, os.W_OK | os.X_OK):  # some network drives are wrong about it
            Temporary(there, lambda new: new.touch(exist_ok=False)).close()


@contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """Make a temporary folder beside a destination, whose files are moved to the destination inside the block.

    Args:
        path: the destination, a folder; those above it are made.

    Yields:
        The temporary folder (empty, hidden). It is removed at the end with what is still in it.

    Raises:
        OutputError: The operating system refuses something in the block (no permission, full disk ...).
    """
    temporary: Temporary | None = None
    try:
        with writing(path):
            path.absolute().parent.mkdir(parents=True, exist_ok=True)
            temporary = Temporary(path.absolute().parent, Path.mkdir)
            yield temporary.path
    finally:
        if temporary is not None:
            temporary.close()


def _why(error: OSError) -> str:
    """The operating system's reason; libraries wrap it in errors of the same type with a traceback as their text."""
    if isinstance(error, shutil.Error) and isinstance(error.args[0], list):  # of a folder: a row for each file
        said = str(error.args[0][0][-1])
        return re.sub(r"^\[Errno \d+\] ([^:]+):.*", r"\1", said)
    return system_reason(error) or next(iter(str(error).splitlines()), type(error).__name__)


def same_file(first: Path, second: Path) -> bool:
    """Whether two paths lead to the same existing file, also through links."""
    try:
        return os.path.samefile(first, second)
    except OSError:
        return False


def sync(path: Path) -> None:
    """Make a file survive a power cut; or the names in a folder, on systems that let one be opened.

    Raises:
        OSError: The file cannot be written to the disk.
    """
    if path.is_dir():
        with suppress(OSError):
            _sync(path)
    else:
        _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
