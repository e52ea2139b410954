"""Files scored against each other, and what of them cannot be."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mri_denoise.errors import InputError
from mri_denoise.evaluation.compare import compare_cases
from mri_denoise.io import Case, discover


def case(path: Path, array: np.ndarray) -> Case:
    nib.save(nib.Nifti1Image(array.astype("float32"), np.eye(4)), path)
    return discover(path)[0][0]


@pytest.mark.parametrize("mask", ["auto", "none"])
def test_a_volume_without_numbers_is_refused_in_one_line(tmp_path: Path, mask: str) -> None:
    series = np.random.default_rng(0).random((16, 16, 16, 2))
    whole = case(tmp_path / "whole.nii", series)
    series[..., 1] = np.nan
    partly = case(tmp_path / "partly.nii", series)
    with pytest.raises(InputError, match=r"^whole.nii: cannot be scored against partly.nii: [^\n]*\.$"):
        compare_cases(partly, whole, mask)


def test_a_mask_of_another_shape_is_named(tmp_path: Path) -> None:
    image = case(tmp_path / "image.nii", np.random.default_rng(0).random((16, 16, 16)))
    case(tmp_path / "mask.nii", np.ones((9, 9, 9)))
    with pytest.raises(InputError, match=r"mask.nii: the mask has the shape \(9, 9, 9\), the image \(16, 16, 16\)"):
        compare_cases(image, image, str(tmp_path / "mask.nii"))


@pytest.mark.parametrize("outside", [0, np.nan], ids=["0", "NaN, as SPM has it"])
def test_what_a_mask_leaves_out_is_not_scored(tmp_path: Path, outside: float) -> None:
    truth = np.random.default_rng(0).random((16, 16, 16))
    wrong, mask = truth.copy(), np.full(truth.shape, outside)
    wrong[:8], mask[8:] = 0, 1
    images = [case(tmp_path / f"{name}.nii", array) for name, array in (("truth", truth), ("wrong", wrong))]
    case(tmp_path / "mask.nii", mask)
    found = compare_cases(*images, str(tmp_path / "mask.nii"))
    assert found.mae == 0 and found.voxels == 8 * 16 * 16


def test_a_mask_of_several_volumes_is_refused(tmp_path: Path) -> None:
    image = case(tmp_path / "image.nii", np.random.default_rng(0).random((16, 16, 16)))
    case(tmp_path / "mask.nii", np.ones((16, 16, 16, 2)))
    with pytest.raises(InputError, match=r"mask.nii: the mask has the shape \(16, 16, 16, 2\)"):
        compare_cases(image, image, str(tmp_path / "mask.nii"))
