"""Models that were loaded before, for calls that name one each time."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from mri_denoise.bundles.registry import find_bundle
from mri_denoise.errors import InputError
from mri_denoise.settings import truth

if TYPE_CHECKING:
    from mri_denoise.denoiser import Denoiser

_MODELS = 4


def load(model: str | os.PathLike[str], device: str, trust: bool) -> Denoiser:
    """Each model once a process, until its files change.

    Args:
        model: a name, or the folder of a bundle.
        device: as for :class:`~mri_denoise.denoiser.Denoiser`.
        trust: as for :meth:`Denoiser.load <mri_denoise.denoiser.Denoiser.load>`.

    Raises:
        InputError: if there is no such model, it is not trusted, or the device is not here.
    """
    if not isinstance(model, str | os.PathLike):
        kind = type(model).__name__
        raise InputError(f"model of type {kind}: must be the name of a model, or the folder of a bundle.")
    trusted, folder = truth("trust", trust), find_bundle(os.fspath(model)).folder
    return _load_once(str(folder), device, trusted, _state_of(folder))


def _state_of(folder: Path) -> tuple[tuple[str, int, int, int], ...]:
    """What changes if a bundle is made anew or another one takes its place: its files, their sizes and times.

    Of the times one is that of the last change on this disk, which copying does not keep. Hashing the weights each time
    would take longer than a small image.
    """
    files = sorted(path for part in ("configs", "models") for path in (folder / part).rglob("*") if path.is_file())
    states = [(str(path), path.stat()) for path in files]
    return tuple((path, state.st_size, state.st_mtime_ns, state.st_ctime_ns) for path, state in states)


@lru_cache(maxsize=_MODELS)
def _load_once(folder: str, device: str, trust: bool, state: object) -> Denoiser:
    """The denoiser of a bundle whose files are in this state."""
    from mri_denoise.denoiser import Denoiser

    return Denoiser.load(folder, device=device, trust=trust)
