"""Streams of bytes that may be compressed with gzip, read and written."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from isal import igzip
from isal.igzip_lib import DECOMP_GZIP, IgzipDecompressor

GZIP_MAGIC = b"\x1f\x8b"
_PACKED, _UNPACKED = 2**16, 2**20  # bytes read, and unpacked, at a time
_GZIP_LEVEL = 2  # of ISA-L, 0 to 3: smaller files than its 3 on noisy integers


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading, unpacked if its content is gzip, whatever its name.

    Args:
        path: the file.

    Yields:
        The stream of unpacked bytes. It raises errors of the operating system and of gzip, which
        `mri_denoise.io.files.reading` translates.
    """
    with open(path, "rb") as plain:
        packed = plain.read(2) == GZIP_MAGIC
        plain.seek(0)
        if not packed:
            yield plain
            return
        with io.BufferedReader(_Unpacker(plain), _UNPACKED) as unpacked:
            yield unpacked


class _Unpacker(io.RawIOBase):
    """The unpacked bytes of a gzip file. Whatever follows its last member is ignored, as ``gzip`` does.

    Args:
        packed: the file at its first byte.
    """

    def __init__(self, packed: IO[bytes]) -> None:
        self._packed, self._member = packed, IgzipDecompressor(flag=DECOMP_GZIP)

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Unpack at most as much as fits, 0 bytes at the end."""
        while True:
            given = b""
            if self._member.eof:
                given = self._member.unused_data + self._packed.read(_PACKED)
                if not given.startswith(GZIP_MAGIC):
                    return 0
                self._member = IgzipDecompressor(flag=DECOMP_GZIP)
            elif self._member.needs_input:
                given = self._packed.read(_PACKED)
                if not given:
                    raise EOFError
            unpacked = self._member.decompress(given, len(buffer))
            if unpacked:
                buffer[: len(unpacked)] = unpacked
                return len(unpacked)


@contextmanager
def packing(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing, compressed with gzip if its name ends in .gz or .mgz.

    The compressed file has no time stamp, so that equal content gives equal files. ISA-L compresses many times as fast
    as zlib, to about the same size.

    Args:
        path: the file.

    Yields:
        The stream to write unpacked bytes to.
    """
    with open(path, "wb") as plain:
        if path.suffix.lower() not in (".gz", ".mgz"):
            yield plain
            return
        with igzip.IGzipFile(filename="", mode="wb", fileobj=plain, compresslevel=_GZIP_LEVEL, mtime=0) as stream:
            yield cast("IO[bytes]", stream)
