"""The images of a series that the destination has acknowledged: lines of a file, each written to disk at once."""

from __future__ import annotations

import os
from pathlib import Path

from mri_denoise.node.disk import FILE_MODE, sync_folder

NAME = "sent.log"
_BEGIN, _END, _SENT = "begin", "end", "sent"
_TORN = "torn"  # ends what a power cut left of a line, which then has too many words to count


class Ledger:
    """Acknowledgements by the series that an image was sent in, and the source that it was made of.

    Not by its SOP Instance UID: an image that is denoised anew, because others of its series came late, has other
    pixels and therefore another UID, but the destination must not get it a second time.

    A round of sending is a ``begin``, an acknowledgement for each image, and an ``end``. If the ``end`` is missing, the
    round was cut short, and one image may have arrived although its acknowledgement was not written.

    Args:
        folder: of the series; the file is made with the first line.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self.acknowledged: set[tuple[str, str]] = set()
        self.in_doubt = False
        self._torn = False
        try:
            text = self.path.read_text(encoding="ascii", errors="replace")
        except FileNotFoundError:
            return
        lines = text.split("\n")
        self._torn = lines.pop() != ""  # the last line was being written when the power failed
        for line in lines:
            word, *rest = line.split(" ")
            if word == _SENT and len(rest) == 4:
                self.acknowledged.add((rest[2], rest[3]))
            elif word in (_BEGIN, _END):
                self.in_doubt = word == _BEGIN

    def begin(self) -> None:
        """Note that a round of sending starts."""
        self._append(_BEGIN)
        self.in_doubt = True

    def acknowledge(self, uid: str, status: str, *, series: str, source: str) -> None:
        """Note that the destination has an image.

        Args:
            uid: its SOP Instance UID.
            status: how that is known: ``0000``, ``B007``, ``found``.
            series: its Series Instance UID.
            source: SOP Instance UID of the image that it was made of; its own if it is forwarded.
        """
        self._append(f"{_SENT} {uid} {status} {series} {source}")
        self.acknowledged.add((series, source))

    def end(self) -> None:
        """Note that the round is over, and every answer of the destination is known."""
        self._append(_END)
        self.in_doubt = False

    def _append(self, line: str) -> None:
        new = not self.path.exists()
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, FILE_MODE)
        try:
            os.write(descriptor, ((f" {_TORN}\n" if self._torn else "") + line + "\n").encode("ascii"))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._torn = False
        if new:
            sync_folder(self.path.parent)
