"""Transforms that MONAI lacks."""

from mri_denoise.pipeline.result import SaveVolumed
from mri_denoise.transforms.background import BlendStrengthd, EstimateNoised, KeepEmptyd, LoadVolumed
from mri_denoise.transforms.impulses import KeepIntermediated
from mri_denoise.transforms.intensity import ScaleIntensityRobust, ScaleIntensityRobustd
from mri_denoise.transforms.rician import RandRicianNoise, RandRicianNoised, RicianNoise, RicianNoised
from mri_denoise.transforms.salt_pepper import (
    RandSaltPepperNoise,
    RandSaltPepperNoised,
    SaltPepperNoise,
    SaltPepperNoised,
)
from mri_denoise.transforms.sampling import RandNoiseMapd, RandReferenceSlabd, RandRepeatedSlicesd
from mri_denoise.transforms.slices import MiddleSlabd, VolumeToSlices, VolumeToSlicesd

__all__ = [
    "BlendStrengthd",
    "EstimateNoised",
    "KeepEmptyd",
    "KeepIntermediated",
    "LoadVolumed",
    "SaveVolumed",
    "MiddleSlabd",
    "RandNoiseMapd",
    "RandReferenceSlabd",
    "RandRepeatedSlicesd",
    "RandRicianNoise",
    "RandRicianNoised",
    "RandSaltPepperNoise",
    "RandSaltPepperNoised",
    "RicianNoise",
    "RicianNoised",
    "SaltPepperNoise",
    "SaltPepperNoised",
    "ScaleIntensityRobust",
    "ScaleIntensityRobustd",
    "VolumeToSlices",
    "VolumeToSlicesd",
]
