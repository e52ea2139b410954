"""A denoised image as a report shows it: before and after, on the same axes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import nibabel as nib
import numpy as np

from mri_denoise.record import RunRecord

_DARK, _FEW = 3.0, 1e-3  # sigma, and share of the voxels: fewer that are so dark are no air
_MASK = 0.1  # share of voxels that are exactly 0, above which they are a mask in an image that counts from elsewhere


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A later volume of a series; the arrays are those of `Scan`.

    Args:
        before: the input.
        after: the result.
        noise_map: sigma at each voxel, if the map has as many volumes as the series.
    """

    before: np.ndarray
    after: np.ndarray
    noise_map: np.ndarray | None


@dataclass(frozen=True, kw_only=True)
class Scan:
    """The first volume of a denoised image, and some of the later ones.

    Args:
        record: what was done.
        before: the input, float32 (X, Y, Z), turned to the closest axes that run right, forward and up; a picture
            (rows, columns, 1) is not turned. NaN and infinity are replaced by no signal (`zero`).
        after: the result, likewise.
        noise_map: sigma at each voxel, likewise, if there is such a file.
        affine: of the turned arrays, voxel index to RAS+ mm, shape (4, 4).
        turn: how the file's axes became these, as nibabel describes orientations, shape (3, 2).
        picture: whether it is a picture and no scan.
        volumes: how many volumes the file has.
        later: volumes after the first by their number from 0, evenly spaced up to the last.
        not_finite: voxels of the input that are NaN or infinite.
        rebuilt: whether the input is gone, so that ``before`` is the result plus the stored residual.
        resized: whether ``before`` is the input at the size of the result, as ``--picture-size`` made it.
    """

    record: RunRecord
    before: np.ndarray
    after: np.ndarray
    noise_map: np.ndarray | None
    affine: np.ndarray
    turn: np.ndarray
    picture: bool
    volumes: int
    not_finite: int
    later: Mapping[int, Moment] = field(default_factory=dict)
    rebuilt: bool = False
    resized: bool = False

    @property
    def sigma(self) -> float | None:
        """Level of the noise in the first volume, in the file's unit; None where the model does not use it."""
        return float(self.record.sigma[0]) if self.record.sigma else None

    @property
    def zero(self) -> float:
        """The value that counts as no signal in the first volume."""
        return zero_of(self.record)

    @property
    def sign(self) -> int:
        """-1 where brighter voxels have smaller values, 1 otherwise."""
        return -1 if float(np.median(self.after)) < self.zero else 1

    @property
    def counts_from_air(self) -> bool:
        """Whether no signal is a value that the image holds; of an image of both signs it is one far below all."""
        if self.zero == 0 or self.sigma is None:
            return True
        return bool(np.mean(self.counted(self.before) < _DARK * self.sigma) > _FEW)

    def counted(self, array: np.ndarray) -> np.ndarray:
        """An array of the scan's unit counted from no signal, so that brighter is larger; the mask is 0."""
        if self.zero == 0 and self.sign > 0:
            return array
        shifted = np.float32(self.sign) * (array - np.float32(self.zero))
        mask = self.before == 0
        if self.zero != 0 and mask.mean() > _MASK:
            shifted[mask] = 0
        return shifted

    @property
    def spacing(self) -> np.ndarray:
        """Millimetres along each axis, shape (3,)."""
        return np.asarray(nib.affines.voxel_sizes(self.affine))


def zero_of(record: RunRecord) -> float:
    """The value that counts as no signal in the first volume; 0 where it was not looked for."""
    return float(record.zero[0]) if record.zero else 0.0
