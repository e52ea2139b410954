"""Unpack zip files of a study into a temporary folder, without trust in what they say about themselves."""

from __future__ import annotations

import atexit
import lzma
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from mri_denoise.errors import InputError
from mri_denoise.io.leftovers import Temporary

ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
MAX_FILES = 200_000
"""More files than this are taken for an attack; the largest studies hold about ten thousand."""
MAX_BYTES = 64 * 2**30
"""More bytes than this are never unpacked."""
_ALWAYS_UNPACKED = 256 << 20
_RATIO = 200
_PIECE = 1 << 20
_FAILURES = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError),
    *(NotImplementedError, RuntimeError, ValueError, LookupError, OverflowError),
)


def is_zip(path: Path, head: bytes) -> bool:
    """Whether a file is a zip archive, by name and content; documents and weights are zip files, too."""
    return path.name.lower().endswith(".zip") and head.startswith(ZIP_MAGIC)


class Unpacking:
    """Unpacks the zip files of one search, all within one limit of files and bytes."""

    def __init__(self) -> None:
        self._packed = self._bytes = self._files = 0

    def unpack(self, path: Path) -> Path:
        """Unpack a zip file into a new folder, which is removed when the program ends.

        Only regular files are unpacked, and only to names inside the folder; zip files inside are not opened. Sizes are
        counted while unpacking, whatever the archive claims. Folders that killed programs left are removed.

        Args:
            path: the zip file.

        Returns:
            A folder with the name of the zip file, under the system's temporary folder.

        Raises:
            InputError: The archive is damaged or encrypted, unpacks to more than images do, or does not fit on the
                disk. Nothing is left of it, and it does not count.
        """
        before = self._bytes, self._files
        temporary: Temporary | None = None
        try:
            temporary = Temporary(Path(tempfile.gettempdir()), lambda new: new.mkdir(mode=0o700), hidden=False)
            atexit.register(temporary.close)
            folder = temporary.path / path.name
            folder.mkdir()
            with zipfile.ZipFile(path) as archive:
                self._extract(archive, path, folder)
            return folder
        except BaseException as error:
            self._bytes, self._files = before
            if temporary is not None:
                temporary.close()
            if isinstance(error, InputError) or not isinstance(error, _FAILURES):
                raise
            raise _in_words(path, error) from error

    def _extract(self, archive: zipfile.ZipFile, path: Path, folder: Path) -> None:
        """Write the members one by one, and count their bytes."""
        members = [
            m for m in archive.infolist() if not m.filename.endswith("/") and not stat.S_ISLNK(m.external_attr >> 16)
        ]
        self._files += len(members)
        if self._files > MAX_FILES:
            raise InputError(f"{path}: zip file with {len(members)} files; unpack it and give the folder")
        packed = self._packed + path.stat().st_size
        free = self._bytes + shutil.disk_usage(folder).free
        limit = min(MAX_BYTES, max(_ALWAYS_UNPACKED, _RATIO * packed), free)
        for member in members:
            target = folder / _safe(member.filename, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                raise InputError(f"{path}: zip file holds {member.filename} twice; unpack it and give the folder")
            with archive.open(member) as source, target.open("wb") as file:
                while piece := source.read(_PIECE):
                    self._bytes += len(piece)
                    if self._bytes > limit:
                        raise InputError(f"{path}: zip file unpacks to more than {limit >> 20} MiB; unpack it yourself")
                    file.write(piece)
        self._packed = packed


def _in_words(path: Path, error: BaseException) -> InputError:
    if isinstance(error, OSError):
        why = error.strerror or str(error)
        return InputError(f"{path}: cannot be unpacked ({why}); free space, or unpack it and give the folder")
    what = "encrypted" if "encrypted" in str(error) else f"damaged ({' '.join(str(error).split())[:80]})"
    return InputError(f"{path}: zip file is {what}; unpack it and give the folder")


def _safe(name: str, path: Path) -> PurePosixPath:
    """The path of a member; refuse one that could lead out of the folder."""
    parts = PurePosixPath(name.replace("\\", "/"))
    if not parts.name:
        raise InputError(f"{path}: zip file holds a file without a name ({name!r}); unpack it and give the folder")
    if parts.is_absolute() or ".." in parts.parts or any(":" in part or "\0" in part for part in parts.parts):
        raise InputError(f"{path}: zip file holds {name!r}, which leads outside; it may be an attack")
    return parts
