"""Networks, one file each. They import no files, transforms or bundles."""

from mri_denoise.networks.dncnn import DnCNN
from mri_denoise.networks.hmad import HMADNet

__all__ = ["DnCNN", "HMADNet"]
