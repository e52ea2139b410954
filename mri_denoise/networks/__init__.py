"""Networks, one file each. They import no files, transforms or bundles.

Each says what it takes: ``input_channels``, the channels of its input, and, if the size of its input must be a multiple
of a number for ``torch.export`` or altogether, ``factor``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mri_denoise.lazy import lazy

if TYPE_CHECKING:
    from mri_denoise.networks.dncnn import DnCNN
    from mri_denoise.networks.hmad import HMADNet
    from mri_denoise.networks.noise_level import NoiseLevelNet
    from mri_denoise.networks.refine import RefineNet

__all__ = ["DnCNN", "HMADNet", "NoiseLevelNet", "RefineNet"]

# each is imported when it is first used: the noise of an image is measured without MONAI
_HOMES = {"DnCNN": "dncnn", "HMADNet": "hmad", "NoiseLevelNet": "noise_level", "RefineNet": "refine"}

__getattr__, __dir__ = lazy(__name__, _HOMES)
