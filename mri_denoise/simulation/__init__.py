"""A head phantom with known truth, drawn from formulas, files of it with full headers, and noisy copies of images."""

from __future__ import annotations

from mri_denoise.simulation.files import write_phantom_dicom, write_phantom_nifti
from mri_denoise.simulation.head import CONTRASTS, TISSUES, head_phantom, phantom_affine, tissue_fractions

__all__ = [
    "CONTRASTS",
    "TISSUES",
    "head_phantom",
    "phantom_affine",
    "tissue_fractions",
    "write_phantom_dicom",
    "write_phantom_nifti",
]
