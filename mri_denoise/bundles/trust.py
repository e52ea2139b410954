"""Which bundles may run without being asked about: a bundle's configs are code.

A config of a bundle can call any function, so running a bundle is running its author's program. Those that ship with
this package are trusted, and so are bundles with the very same configs: training and adaptation copy them. The configs
of other bundles that were trained or adapted on this computer are known by their SHA-256, which is kept in the user's
folder for such states.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from mri_denoise.bundles.registry import SHORT_NAMES, Bundle, bundles_folder
from mri_denoise.errors import InputError


def code_files(folder: Path) -> list[Path]:
    """The files of a bundle that can run code: configs and Python modules, in a fixed order.

    Args:
        folder: the bundle's root.
    """
    endings = (".yaml", ".yml", ".json", ".py")
    named = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in endings and path.is_file()]
    return [path for path in named if path.suffix == ".py" or path.parent.name == "configs"]


def code_sha256(folder: Path) -> str:
    """SHA-256 of a bundle's code (:func:`code_files`), names and content, without its metadata.

    Args:
        folder: the bundle's root.
    """
    digest = hashlib.sha256()
    for path in code_files(folder):
        if path.name != "metadata.json":
            content = path.read_bytes()
            digest.update(f"{path.relative_to(folder).as_posix()}\n{len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()


def is_trusted(bundle: Bundle) -> bool:
    """Whether a bundle's code is that of a shipped one, or of one that was trained or adapted here.

    Args:
        bundle: what would run.
    """
    if bundle.shipped:
        return True
    try:
        digest = code_sha256(bundle.folder)
        known = {code_sha256(bundles_folder() / name) for name in SHORT_NAMES.values()}
        kept = _kept().read_text(encoding="utf-8").split() if _kept().is_file() else []
    except (OSError, UnicodeDecodeError):
        return False
    return digest in known or digest in kept


def require_trust(bundle: Bundle, *, given: bool) -> None:
    """Refuse to run a bundle that is neither known nor trusted by the user.

    Args:
        bundle: what would run.
        given: whether the user said so.

    Raises:
        InputError: if it must not run.
    """
    if not given and not is_trusted(bundle):
        raise InputError(
            f"{bundle.folder}: a bundle is code that runs with your rights, and this one is neither shipped nor "
            "trained here; look at its configs, then add --trust (in Python trust=True)."
        )


def remember(folder: Path) -> None:
    """Trust a bundle that was made here from now on; says nothing if that cannot be kept.

    Args:
        folder: the bundle's root.
    """
    try:
        _kept().parent.mkdir(parents=True, exist_ok=True)
        with _kept().open("a", encoding="utf-8") as file:
            file.write(code_sha256(folder) + "\n")
    except OSError:
        return


def _kept() -> Path:
    """The file with the SHA-256 of known code, one a line."""
    windows = os.environ.get("LOCALAPPDATA") if os.name == "nt" else None
    state = windows or os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "mri-denoise" / "trusted_bundles"
