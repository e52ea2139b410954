"""What denoising does to a scan whose truth is known: the error over the head, and the brightness of dark tissue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mri_denoise.denoiser import Denoiser
from mri_denoise.simulation.scanner import Scan
from mri_denoise.volume import Volume

DARKEST = 0.15  # sigma: darker than this below the truth is too dark
HEAD = 0.1  # times the 99.5th percentile of the truth: above is head
_LEAST_TISSUE = 0.02  # times the 99.5th percentile of the truth: above may be tissue
_FEW = 300  # voxels: the brightness of fewer says nothing
_AFFINE = np.diag([1.0, 1.0, 2.5, 1.0])  # slices are thicker than wide, so that they are denoised in their plane


@dataclass(frozen=True, kw_only=True)
class Harm:
    """The result of denoising beside the truth.

    Args:
        gain: PSNR over the head, less that of the noisy image, dB.
        brightness: mean of the result minus the truth in tissue whose signal is 1 to 3 sigma, in sigma; None if there
            is hardly any. Rician noise makes such tissue brighter; a result below the truth has lost signal.
    """

    gain: float
    brightness: float | None


def measure_harm(denoiser: Denoiser, scan: Scan) -> Harm:
    """Denoise a scan with the noise that is found in it, and compare.

    Args:
        denoiser: of magnitude images.
        scan: shape (X, Y, slices).
    """
    result = denoiser(Volume(array=scan.image[None], affine=_AFFINE)).array[0]
    bright = float(np.percentile(scan.truth, 99.5))
    head = (scan.truth > HEAD * bright) & (scan.sigma > 0)
    before, after = (float(np.mean(np.square(image - scan.truth)[head])) for image in (scan.image, result))
    sigma = np.maximum(scan.sigma, 1e-30)
    tissue = (scan.truth > sigma) & (scan.truth < 3 * sigma) & (scan.truth > _LEAST_TISSUE * bright) & (scan.image > 0)
    enough = np.count_nonzero(tissue) >= _FEW
    return Harm(
        gain=float(10 * np.log10(max(before, 1e-30) / max(after, 1e-30))),
        brightness=float(np.mean(((result - scan.truth) / sigma)[tissue])) if enough else None,
    )
