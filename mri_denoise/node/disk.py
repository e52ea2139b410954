"""Changes on disk that survive a power cut: each is made whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

from mri_denoise.io.files import write_beside

FOLDER_MODE = 0o700
FILE_MODE = 0o600


def make_folder(folder: Path) -> Path:
    """Make a folder that only its owner can read, in one that exists; return it."""
    if not folder.is_dir():
        folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
        sync_folder(folder.parent)
    return folder


def sync_folder(folder: Path) -> None:
    """Write to disk what was renamed, made or deleted in a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def move(source: Path, target: Path) -> None:
    """Rename a file or folder within the file system."""
    os.replace(source, target)
    sync_folder(target.parent)
    if source.parent != target.parent:
        sync_folder(source.parent)


def create(path: Path) -> int:
    """Open a new file that only its owner can read, never through a link; return its descriptor."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), FILE_MODE)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all; what a power cut leaves beside it is hidden.

    Raises:
        OutputError: if it cannot be written.
    """
    with write_beside(path) as partial:
        partial.chmod(FILE_MODE)
        partial.write_bytes(content)


def discard(folder: Path, trash: Path) -> None:
    """Move a folder to the trash in one step, then delete it there."""
    grave = trash / secrets.token_hex(8)
    move(folder, grave)
    shutil.rmtree(grave, ignore_errors=True)


def size(folder: Path) -> int:
    """Count the bytes of all files below a folder; files that vanish meanwhile count nothing."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_size
    return total
