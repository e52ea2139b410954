"""Networks, one file each. They import no files, transforms or bundles."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mri_denoise.networks.dncnn import DnCNN
    from mri_denoise.networks.hmad import HMADNet
    from mri_denoise.networks.noise_level import NoiseLevelNet

__all__ = ["DnCNN", "HMADNet", "NoiseLevelNet"]

# each is imported when it is first used: the noise of an image is measured without MONAI
_HOMES = {"DnCNN": "dncnn", "HMADNet": "hmad", "NoiseLevelNet": "noise_level"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
