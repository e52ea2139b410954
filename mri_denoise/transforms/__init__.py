"""Dictionary and array transforms that MONAI lacks."""

from mri_denoise.transforms.background import BlendStrengthd, RestoreBackgroundd
from mri_denoise.transforms.files import LoadVolumed, SaveVolumed
from mri_denoise.transforms.filtered import LoadFilteredd, RandFilteredPartd
from mri_denoise.transforms.guard import ReturnSignald
from mri_denoise.transforms.intensity import ScaleIntensityRobust, ScaleIntensityRobustd
from mri_denoise.transforms.noise_level import EstimateNoised
from mri_denoise.transforms.noise_scans import LoadNoiseScand, RandNoiseScanCropd
from mri_denoise.transforms.pictures import ResizePictured
from mri_denoise.transforms.rician import RandMagnitudeNoise, RandMagnitudeNoised, RicianNoise, RicianNoised
from mri_denoise.transforms.salt_pepper import (
    RandSaltPepperNoise,
    RandSaltPepperNoised,
    RestoreUncorruptedd,
    SaltPepperNoise,
    SaltPepperNoised,
)
from mri_denoise.transforms.sampling import MiddleSlabd, RandNoiseMapd, RandReferenceSlabd, RandRepeatedSlicesd
from mri_denoise.transforms.scanner import RandScannerNoised

__all__ = [
    "BlendStrengthd",
    "EstimateNoised",
    "LoadFilteredd",
    "LoadNoiseScand",
    "LoadVolumed",
    "MiddleSlabd",
    "RandFilteredPartd",
    "RandMagnitudeNoise",
    "RandMagnitudeNoised",
    "RandNoiseMapd",
    "RandNoiseScanCropd",
    "RandReferenceSlabd",
    "RandRepeatedSlicesd",
    "RandSaltPepperNoise",
    "RandSaltPepperNoised",
    "RandScannerNoised",
    "ResizePictured",
    "RestoreBackgroundd",
    "RestoreUncorruptedd",
    "ReturnSignald",
    "RicianNoise",
    "RicianNoised",
    "SaltPepperNoise",
    "SaltPepperNoised",
    "SaveVolumed",
    "ScaleIntensityRobust",
    "ScaleIntensityRobustd",
]
