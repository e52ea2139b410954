"""Denoise magnetic resonance images, headers preserved.

Examples:
    >>> import mri_denoise, numpy as np
    >>> noisy = np.random.default_rng(0).rayleigh(20, (32, 32, 8)).astype(np.float32)
    >>> mri_denoise.denoise(noisy, spacing=(1, 1, 4), sigma=20).shape
    (32, 32, 8)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mri_denoise.lazy import lazy

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

__getattr__, __dir__ = lazy(__name__, _HOMES)
