"""Transforms that MONAI lacks."""

from mri_denoise.transforms.background import BlendStrengthd, RestoreBackgroundd
from mri_denoise.transforms.files import LoadVolumed, SaveVolumed
from mri_denoise.transforms.impulses import RestoreUncorruptedd
from mri_denoise.transforms.intensity import ScaleIntensityRobust, ScaleIntensityRobustd
from mri_denoise.transforms.noise_level import EstimateNoised
from mri_denoise.transforms.pictures import ResizePictured
from mri_denoise.transforms.rician import RandMagnitudeNoise, RandMagnitudeNoised, RicianNoise, RicianNoised
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
    "ResizePictured",
    "RestoreBackgroundd",
    "RestoreUncorruptedd",
    "LoadVolumed",
    "SaveVolumed",
    "MiddleSlabd",
    "RandNoiseMapd",
    "RandReferenceSlabd",
    "RandRepeatedSlicesd",
    "RandMagnitudeNoise",
    "RandMagnitudeNoised",
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
