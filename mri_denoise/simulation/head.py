"""Make a head phantom: an image of known truth, from formulas.

The phantom is a test object. It has what is difficult for a denoiser (folded cortex, thin sulci, vessels, fat beside
air, texture), but it is not a model of anyone's anatomy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from mri_denoise.simulation.anatomy import Painter
from mri_denoise.simulation.shapes import Point

FIELD_OF_VIEW: Point = (192.0, 240.0, 192.0)  # mm
_CENTRE: Point = (0.0, -12.0, 4.0)

TISSUES = (
    *("fat", "skin", "muscle", "bone", "marrow", "csf"),
    *("grey", "white", "deep grey", "pallidum", "lesion", "vessel"),
)
# Signal of each tissue in units of the brightest, typical of 3 T; air is 0.
CONTRASTS: Mapping[str, Mapping[str, float]] = {
    name: dict(zip(TISSUES, signals, strict=True))
    for name, signals in {
        "T1w": (0.92, 0.60, 0.38, 0.05, 0.50, 0.14, 0.44, 0.68, 0.54, 0.62, 0.40, 0.85),
        "T2w": (0.62, 0.45, 0.22, 0.05, 0.36, 0.95, 0.56, 0.38, 0.46, 0.30, 0.76, 0.05),
        "FLAIR": (0.60, 0.45, 0.30, 0.05, 0.34, 0.09, 0.56, 0.44, 0.50, 0.40, 0.90, 0.12),
        "PD": (0.84, 0.62, 0.60, 0.07, 0.48, 0.74, 0.86, 0.70, 0.78, 0.66, 0.94, 0.20),
    }.items()
}


def head_phantom(
    shape: tuple[int, int, int] = (128, 160, 128), contrast: str = "T1w", seed: int = 0, texture: bool = True
) -> np.ndarray:
    """Make a noise-free head of known truth.

    Args:
        shape: voxels along x (to the right), y (forward) and z (up), each 8 or more. The field of view is always 192 x
            240 x 192 mm, so the shape sets the voxel size: 1.5 mm by default, thick axial slices for a small last
            number.
        contrast: ``"T1w"``, ``"T2w"``, ``"FLAIR"`` or ``"PD"`` (:data:`CONTRASTS`).
        seed: of folds, lesions, shape and texture; the same seed gives the same head in every contrast and shape.
        texture: whether the signal varies within tissues (3 %, 5 to 30 mm) and by a coil's shading (7 %, 200 mm and
            more).

    Returns:
        float32 array in [0, 1]; air is exactly 0.

    Raises:
        ValueError: if the contrast is unknown or an axis is shorter than 8.

    Examples:
        >>> head = head_phantom((32, 40, 24), contrast="T2w")
        >>> head.shape, float(head.min())
        ((32, 40, 24), 0.0)
        >>> phantom_affine(head.shape).diagonal().tolist()  # voxel size in mm
        [6.0, 6.0, 8.0, 1.0]
    """
    if contrast not in CONTRASTS:
        raise ValueError(f"unknown contrast {contrast!r}: choose one of {', '.join(CONTRASTS)}")
    return _render(shape, [CONTRASTS[contrast]], seed, texture)[0]


def tissue_fractions(
    tissues: Iterable[str] = TISSUES, shape: tuple[int, int, int] = (128, 160, 128), seed: int = 0
) -> dict[str, np.ndarray]:
    """Compute the fraction of each voxel of :func:`head_phantom` that tissues fill.

    Args:
        tissues: of :data:`TISSUES`.
        shape: as for :func:`head_phantom`.
        seed: as for :func:`head_phantom`.

    Returns:
        float32 arrays in [0, 1] by tissue.

    Raises:
        ValueError: if a tissue is unknown or an axis is shorter than 8.
    """
    chosen = list(tissues)
    for tissue in chosen:
        if tissue not in TISSUES:
            raise ValueError(f"unknown tissue {tissue!r}: choose one of {', '.join(TISSUES)}")
    signals = [{name: float(name == tissue) for name in TISSUES} for tissue in chosen]
    return dict(zip(chosen, _render(shape, signals, seed, texture=False), strict=True))


def phantom_affine(shape: tuple[int, int, int], voxel: Point | None = None) -> np.ndarray:
    """Compute the affine of a phantom, with its centre where the head is.

    Args:
        shape: of the array, three axes.
        voxel: millimetres along each axis; by default the array fills the field of view.

    Returns:
        4 x 4 float64, voxel index to RAS+ millimetres.
    """
    size = np.divide(FIELD_OF_VIEW, shape) if voxel is None else np.asarray(voxel, dtype=np.float64)
    affine = np.diag([*size, 1.0])
    affine[:3, 3] = np.asarray(_CENTRE) - size * (np.asarray(shape) - 1) / 2
    return affine


def _render(
    shape: tuple[int, int, int], signals: Sequence[Mapping[str, float]], seed: int, texture: bool
) -> list[np.ndarray]:
    """Paint the head once for each set of signals by tissue."""
    if min(shape) < 8:
        raise ValueError(f"each axis of the phantom needs 8 voxels or more, not {shape}")
    # Thick voxels are averages over thin ones: edges are drawn sharp to one thin voxel.
    factors = [max(1, round(side / count / 1.6)) for side, count in zip(FIELD_OF_VIEW, shape, strict=True)]
    fine = (shape[0] * factors[0], shape[1] * factors[1], shape[2] * factors[2])
    images = Painter(fine, phantom_affine(fine), signals, seed).paint(texture)
    if max(factors) > 1:
        split = [n for pair in zip(shape, factors, strict=True) for n in pair]
        images = [image.reshape(split).mean(axis=(1, 3, 5)) for image in images]
    return [np.clip(image, 0, 1, dtype=np.float32) for image in images]
