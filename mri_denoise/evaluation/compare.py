"""Scores of one image file against another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mri_denoise.errors import InputError
from mri_denoise.evaluation import metrics
from mri_denoise.io import Case, read
from mri_denoise.io.nifti.image import read_array
from mri_denoise.volume import Volume, in_one_space


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The scores of an image, averaged over its volumes.

    Args:
        psnr: dB, higher is better.
        ssim: higher is better, at most 1.
        hfen: high-frequency error norm, lower is better.
        mae: mean absolute error in the unit of the image, lower is better.
        peak: the peak of PSNR and range of SSIM that was used.
        voxels: number of voxels that were scored.
    """

    psnr: float
    ssim: float
    hfen: float
    mae: float
    peak: float
    voxels: int


def compare_cases(reference: Case, image: Case, mask: str = "auto", peak: float | None = None) -> Comparison:
    """Score an image by PSNR, SSIM, HFEN and mean absolute error (:mod:`mri_denoise.evaluation.metrics`).

    Args:
        reference: the image without noise.
        image: the image that is scored, of the same shape.
        mask: where to score. ``"auto"`` is the head (above 10/255 of the maximum), and all of a picture; ``"none"`` is
            everything; otherwise the path of a mask on the grid of the image.
        peak: peak of PSNR and range of SSIM; by default the maximum of the reference, and for a picture its white
            level.

    Returns:
        the scores; those of several volumes are averaged.

    Raises:
        InputError: if a file cannot be read, the grids differ, or there is nothing to score.
    """
    truth, result = read(reference), read(image)
    _check_counts(image.label, result, reference.label, truth)
    check_grids(image.label, result, reference.label, truth)
    if not np.isfinite(truth.array).any():
        raise InputError(f"{reference.label}: holds no number to compare with; give another reference.")
    highest = float(np.max(truth.array, where=np.isfinite(truth.array), initial=-np.inf))
    peak = peak or truth.white_level or highest
    scores: list[tuple[float, float, float, float]] = []
    voxels = 0
    for a, b in zip(truth.array, result.array, strict=True):
        try:
            where = _mask(mask, a, truth)
            a, b = (np.squeeze(v, 2) if v.shape[2] == 1 else v for v in (a, b))
            inside = None if where is None else where.reshape(a.shape)
            similar = (metrics.psnr(a, b, inside, peak), metrics.ssim(a, b, inside, peak))
            scores.append((*similar, metrics.hfen(a, b, inside), metrics.mae(a, b, inside)))
        except InputError:  # which says what is wrong already
            raise
        except ValueError as error:
            raise InputError(f"{image.label}: cannot be scored against {reference.label}: {error}.") from error
        voxels += a.size if inside is None else int(inside.sum())
    psnr, ssim, hfen, mae = (float(np.mean(values)) for values in zip(*scores, strict=True))
    return Comparison(psnr=psnr, ssim=ssim, hfen=hfen, mae=mae, peak=peak, voxels=voxels)


def _check_counts(label: str, image: Volume, other: str, reference: Volume) -> None:
    """Refuse images of different numbers of volumes."""
    count, wanted = len(image.array), len(reference.array)
    if count != wanted:
        raise InputError(f"{label}: holds {count} volumes, {other} {wanted}; compare as many with as many.")


def check_grids(label: str, image: Volume, other: str, reference: Volume) -> None:
    """Refuse to compare images whose voxels are not those of one grid in one place.

    Args:
        label: how messages name the image.
        image: any number of volumes.
        other: how messages name the reference.
        reference: any number of volumes.

    Raises:
        InputError: if their shapes differ, or, unless one is a picture, the places of their voxels.
    """
    if image.array.shape[1:] != reference.array.shape[1:]:
        shapes = f"{image.array.shape[1:]} and {reference.array.shape[1:]}"
        raise InputError(f"{label}: its shape differs from that of {other} ({shapes}); compare images of one grid.")
    flat = image.picture or reference.picture
    if not flat and not in_one_space(image.affine, reference.affine, image.array.shape[1:]):
        raise InputError(f"{label}: lies in another space than {other}; resample one to the grid of the other.")


def _mask(mask: str, volume: np.ndarray, truth: Volume) -> np.ndarray | None:
    if mask == "none" or (mask == "auto" and truth.picture):
        return None
    if mask == "auto":
        return metrics.head_mask(volume)
    array, place = read_array(Path(mask))
    array = array[..., 0] if array.ndim == 4 and array.shape[3] == 1 else array
    if array.shape != volume.shape:
        raise InputError(f"{mask}: the mask has the shape {array.shape}, the image {volume.shape}.")
    if not truth.picture and not in_one_space(place, truth.affine, volume.shape):
        raise InputError(f"{mask}: the mask lies in another space than the image; resample it to the image's grid.")
    inside: np.ndarray = np.isfinite(array) & (array != 0)  # SPM has NaN outside
    return inside
