"""Scores of one image file against another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mri_denoise.errors import InputError
from mri_denoise.evaluation import metrics
from mri_denoise.io import Case, read
from mri_denoise.io.nifti.image import read_array


def compare_cases(reference: Case, image: Case, mask: str = "auto", peak: float | None = None) -> dict[str, Any]:
    """PSNR, SSIM, HFEN and mean absolute error; several volumes in a file are averaged.

    Args:
        reference: the image without noise.
        image: the image to score, of the same shape.
        mask: ``"auto"`` is the head (above 10/255 of the maximum) and all of a picture; ``"none"`` everything;
            otherwise the path of a mask in the image's grid.
        peak: peak of PSNR and range of SSIM, by default the maximum of the reference, and of a picture its white level.

    Returns:
        ``psnr`` in dB, ``ssim``, ``hfen``, ``mae``, ``peak``, ``voxels`` scored.

    Raises:
        InputError: if a file cannot be read, the shapes differ, or there is nothing to score.
    """
    truth, result = read(reference), read(image)
    if truth.array.shape != result.array.shape:
        shapes = f"{truth.array.shape[1:]} and {result.array.shape[1:]}"
        raise InputError(f"{image.label}: shapes differ from {reference.label} ({shapes}); compare images of one grid.")
    whole = float(np.nanmax(truth.array))
    peak = peak or truth.white_level or whole
    scores: dict[str, list[float]] = {"psnr": [], "ssim": [], "hfen": [], "mae": []}
    voxels = 0
    for a, b in zip(truth.array, result.array, strict=True):
        where = _mask(mask, a, truth.picture)
        a, b = (np.squeeze(v, 2) if v.shape[2] == 1 else v for v in (a, b))
        inside = None if where is None else where.reshape(a.shape)
        try:
            scores["psnr"].append(metrics.psnr(a, b, inside, peak))
            scores["ssim"].append(metrics.ssim(a, b, inside, peak))
            scores["hfen"].append(metrics.hfen(a, b, inside))
            scores["mae"].append(metrics.mae(a, b, inside))
        except ValueError as error:
            raise InputError(f"{image.label}: cannot be scored against {reference.label}: {error}.") from error
        voxels += a.size if inside is None else int(inside.sum())
    return {name: float(np.mean(values)) for name, values in scores.items()} | {"peak": peak, "voxels": voxels}


def _mask(mask: str, volume: np.ndarray, picture: bool) -> np.ndarray | None:
    if mask == "none" or (mask == "auto" and picture):
        return None
    if mask == "auto":
        return metrics.head_mask(volume)
    array, _ = read_array(Path(mask))
    array = array[..., 0] if array.ndim == 4 else array
    if array.shape != volume.shape:
        raise InputError(f"{mask}: the mask has the shape {array.shape}, the image {volume.shape}.")
    return array != 0
