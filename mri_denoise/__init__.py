"""Denoise magnetic resonance images with HMAD-Net, headers preserved.

Examples:
    >>> import mri_denoise, numpy as np
    >>> noisy = np.random.default_rng(0).rayleigh(20, (32, 32, 8)).astype(np.float32)
    >>> mri_denoise.denoise(noisy, spacing=(1, 1, 4), sigma=20).shape
    (32, 32, 8)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mri_denoise.denoiser import Denoiser
    from mri_denoise.images import denoise, estimate_noise
    from mri_denoise.io import discover, read
    from mri_denoise.io.writing import write
    from mri_denoise.settings import Settings
    from mri_denoise.volume import Volume

__version__ = "0.1.0"
__all__ = ["Denoiser", "Settings", "Volume", "denoise", "discover", "estimate_noise", "read", "write"]

# where a public name lives; each is imported when it is first used, so that `import mri_denoise` takes no time
_HOMES = {
    "Denoiser": "denoiser",
    "Settings": "settings",
    "Volume": "volume",
    "denoise": "images",
    "discover": "io",
    "estimate_noise": "images",
    "read": "io",
    "write": "io.writing",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
