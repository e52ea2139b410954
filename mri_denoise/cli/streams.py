"""The standard streams of a command: closed ones, and those that cannot be written."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from typing import Any

import typer.core

from mri_denoise.cli.common import SOME_FAILED, messages


class Streams(typer.core.TyperGroup):
    """A group of commands that ends in one line where what it says cannot be written, as on a full disk."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Run a command, with all that it says written before it ends."""
        stand_in_for_closed()
        try:
            try:
                return super().main(*args, **options)
            finally:
                sys.stdout.flush()  # Python would do so at its end, and give an exit code of its own
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EPIPE, errno.EFBIG):
                raise
            with suppress(OSError):  # what is left cannot be written either
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            if error.errno != errno.EPIPE:  # its reader has seen enough
                with suppress(OSError):
                    messages.print(f"mri-denoise: output cannot be written ({error.strerror}); free space.")
            sys.exit(SOME_FAILED)


def stand_in_for_closed() -> None:
    """Let what goes to a standard stream that is closed go nowhere.

    Otherwise the next file that is opened, such as a result, takes its number, and what a library in C writes to that
    stream goes into the file.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            with suppress(OSError):
                os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest number that is free
            nowhere = open(os.devnull, "w" if number else "r", encoding="utf-8")  # noqa: SIM115  # open to the end
            setattr(sys, name, nowhere)
