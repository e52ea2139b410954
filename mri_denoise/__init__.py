"""Denoise magnetic resonance images with HMAD-Net, headers preserved.

Examples:
    >>> import mri_denoise
    >>> denoiser = mri_denoise.Denoiser.load("rician")  # doctest: +SKIP
    >>> case = mri_denoise.discover("T1w.nii.gz")[0][0]  # doctest: +SKIP
    >>> result = denoiser(mri_denoise.read(case), sigma="auto")  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mri_denoise.denoiser import Denoiser
    from mri_denoise.io import discover, read, write
    from mri_denoise.noise.level import estimate_sigma
    from mri_denoise.settings import Settings
    from mri_denoise.volume import Volume

__version__ = "0.1.0"
__all__ = ["Denoiser", "Settings", "Volume", "discover", "estimate_sigma", "read", "write"]

# where a public name lives; each is imported when it is first used, so that `import mri_denoise` takes no time
_HOMES = {
    "Denoiser": "denoiser",
    "Settings": "settings",
    "Volume": "volume",
    "discover": "io",
    "estimate_sigma": "noise.level",
    "read": "io",
    "write": "io",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
