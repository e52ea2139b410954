"""The kinds of images that are denoised."""

from __future__ import annotations

from collections.abc import Mapping

# magnitude images whose noise is that of the scanner, by data type (BIDS 1.10, "Magnetic Resonance Imaging")
SUFFIXES: Mapping[str, tuple[str, ...]] = {
    "anat": (
        *("T1w", "T2w", "PDw", "T2starw", "FLAIR", "inplaneT1", "inplaneT2", "PDT2", "angio", "T2star", "FLASH", "PD"),
        *("VFA", "IRT1", "MP2RAGE", "MESE", "MEGRE", "MPM", "MTS", "MTR"),
    ),
    "func": ("bold", "cbv", "sbref"),
    "dwi": ("dwi", "sbref"),
    "perf": ("asl", "m0scan"),
}
