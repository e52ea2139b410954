"""Files whose content is not here: links that lead nowhere, stand-ins of git-annex and Git LFS, empty files."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_ANNEX = "annex/objects/"  # in the target of a link, or in the file that stands for one that is unlocked
_POINTERS = (f"/{_ANNEX}".encode(), b"version https://git-lfs")
_HEAD = 64
_LONGEST = 1000  # bytes of a pointer
_FETCH = "its content is not here (git-annex or Git LFS); fetch it, for instance with `datalad get`"


def why_absent(path: Path) -> str:
    """Say why the content of a file is not here, and how to get it; only tiny files are opened.

    Returns:
        one line without the path; empty if the content is here, or if the path is none of a file.
    """
    try:
        if path.is_symlink() and not path.exists():
            target = os.readlink(path).replace("\\", "/")
            return _FETCH if _ANNEX in target else "broken link; fetch the file that it points to"
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            return ""
        if found.st_size == 0:
            return "empty file; copy or download it again"
        if found.st_size < _LONGEST:
            with path.open("rb") as file:
                return _FETCH if file.read(_HEAD).startswith(_POINTERS) else ""
    except FileNotFoundError:
        return ""
    except PermissionError:
        return "no permission to read it; change its access rights"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return ""
