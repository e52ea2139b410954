"""Which bundles may run without being asked about: a bundle's configs are code.

A config of a bundle can call any function, so running a bundle is running its author's program. Those that ship with
this package are trusted, and so are bundles with the very same configs: training and adaptation copy them. The configs
of other bundles that were trained or adapted on this computer are known by their SHA-256, which is kept in the user's
folder for such states.

Every use asks here, with :func:`require_trust`, after :func:`~mri_denoise.bundles.registry.find_bundle` and before
anything of the bundle is parsed by MONAI. Weights are no code: they are read without running any
(:mod:`~mri_denoise.bundles.weights`).
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from mri_denoise.bundles.registry import SHORT_NAMES, Bundle, bundles_folder
from mri_denoise.errors import InputError

_CONFIGS = (".yaml", ".yml", ".json")
_MODULES = (".py", ".pyw", ".pyc", ".so", ".pyd")  # of any system, so that a bundle has the same SHA-256 everywhere
_EVALUATED = ("$", "@", "%")  # MONAI's expressions, references and macros begin with these
_TARGET = "_target_"  # the key of what MONAI calls


def code_files(folder: Path) -> list[Path]:
    """The files of a bundle that can run code, in a fixed order: configs, and what Python imports.

    MONAI puts a bundle's root in front of the installed packages when it runs a workflow, so that a module there may
    take the place of an installed one. The metadata is such a file only if it holds what MONAI evaluates.

    Args:
        folder: the bundle's root.

    Raises:
        OSError: if a part of it cannot be read, or is a link to a folder.
        ValueError: if its metadata is no JSON.
    """
    found = []
    for path in _files(folder):
        ending = path.suffix.lower()
        config = ending in _CONFIGS and path.parent.name == "configs"
        metadata = path == folder / "configs" / "metadata.json"
        if ending in _MODULES or (config and not metadata) or (metadata and _has_expressions(path)):
            found.append(path)
    return found


def _files(folder: Path) -> list[Path]:
    """All files of a folder, sorted. A link to a folder is refused: modules can be imported through it."""
    found = []
    for parent, folders, names in os.walk(folder, onerror=_fail):
        linked = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        if linked:
            raise OSError(f"{parent}/{linked[0]}: is a link to a folder.")
        found += [path for path in (Path(parent, name) for name in names) if path.is_file()]
    return sorted(found)


def _fail(error: OSError) -> None:
    """What cannot be listed may hide a module that can be imported."""
    raise error


def _has_expressions(path: Path) -> bool:
    """Whether MONAI evaluates something in this metadata, as ``ConfigWorkflow`` does with its version."""
    return _evaluated(json.loads(path.read_text(encoding="utf-8")))


def _evaluated(value: Any) -> bool:
    if isinstance(value, dict):
        return _TARGET in value or any(map(_evaluated, value)) or any(map(_evaluated, value.values()))
    if isinstance(value, list):
        return any(map(_evaluated, value))
    return isinstance(value, str) and value.startswith(_EVALUATED)


def code_sha256(folder: Path) -> str:
    """SHA-256 of a bundle's code (:func:`code_files`), names and content.

    Args:
        folder: the bundle's root.

    Raises:
        OSError: as :func:`code_files` does, which may also raise a ValueError.
    """
    digest = hashlib.sha256()
    for path in code_files(folder):
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
    except (OSError, ValueError, RecursionError):
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
            "trained here; look at its configs, metadata and modules, then add --trust (in Python trust=True)."
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
    except (OSError, ValueError, RecursionError):
        return


def _kept() -> Path:
    """The file with the SHA-256 of known code, one a line."""
    windows = os.environ.get("LOCALAPPDATA") if os.name == "nt" else None
    state = windows or os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "mri-denoise" / "trusted_bundles"
