"""The noise level beside the image: given, estimated, or read from a map."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from mri_denoise.errors import InputError
from mri_denoise.io.case import Case
from mri_denoise.noise.level import estimate_sigma
from mri_denoise.transforms import EstimateNoised

SHAPE = (9, 8, 7)
AFFINE = np.diag([1.0, 1.0, 4.0, 1.0])
MODEL = {"name": "test", "version": "1", "weights_sha256": "0" * 64}


def save(path: Path, array: np.ndarray) -> Case:
    nib.save(nib.Nifti1Image(array, AFFINE), path)
    return Case(kind="nifti", sources=(path,), output=Path("out") / path.name, label=path.name)


def test_sigma_is_taken_as_given_or_estimated_volume_by_volume() -> None:
    rng = np.random.default_rng(0)
    noisy = [np.hypot(rng.normal(0, s, (40, 40, 20)), rng.normal(0, s, (40, 40, 20))) for s in (2.0, 6.0)]
    image = torch.from_numpy(np.stack(noisy).astype(np.float32))
    assert EstimateNoised("image", 3)({"image": image})["sigma"].tolist() == [3, 3]
    assert EstimateNoised("image", "2.5")({"image": image})["sigma"].tolist() == [2.5, 2.5]
    found = EstimateNoised("image")({"image": image, "slice_axis": 2})["sigma"]
    wanted = [estimate_sigma(v.numpy(), slice_axis=2).sigma for v in image]
    assert found.tolist() == pytest.approx(wanted) and found[1] > 2 * found[0]


@pytest.mark.parametrize("sigma", [-1, "-0.1", "nan", "inf"])
def test_impossible_levels_are_refused(sigma: float | str) -> None:
    with pytest.raises(InputError, match="sigma"):
        EstimateNoised("image", sigma)({"image": torch.rand(1, *SHAPE)})


@pytest.mark.parametrize(("shape", "volumes"), [(SHAPE, 1), (SHAPE, 3), ((*SHAPE, 1), 3), ((*SHAPE, 3), 3)])
def test_maps_of_sigma_are_spread_over_volumes(tmp_path: Path, shape: tuple[int, ...], volumes: int) -> None:
    level = np.random.default_rng(0).random(shape, dtype=np.float32)
    save(tmp_path / "sigma.nii.gz", level)
    found = EstimateNoised("image", str(tmp_path / "sigma.nii.gz"))({"image": torch.rand(volumes, *SHAPE)})["sigma"]
    whole = level if level.ndim == 4 else level[..., None]
    np.testing.assert_array_equal(found.numpy(), np.broadcast_to(np.moveaxis(whole, -1, 0), (volumes, *SHAPE)))


@pytest.mark.parametrize("shape", [(9, 8, 6), (8, 9, 7), (*SHAPE, 2)])
def test_maps_of_another_shape_are_refused_with_both_shapes(tmp_path: Path, shape: tuple[int, ...]) -> None:
    save(tmp_path / "sigma.nii", np.ones(shape, np.float32))
    with pytest.raises(InputError) as error:
        EstimateNoised("image", str(tmp_path / "sigma.nii"))({"image": torch.rand(3, *SHAPE)})
    message = str(error.value)
    assert "sigma.nii" in message and "\n" not in message
    both = ("2 volumes", "3 volumes") if len(shape) == 4 else (str(shape), str(SHAPE))
    assert all(part in message for part in both)


@pytest.mark.parametrize("bad", [np.nan, -1.0, np.inf])
def test_maps_with_impossible_values_are_refused(tmp_path: Path, bad: float) -> None:
    level = np.ones(SHAPE, np.float32)
    level[1, 2, 3] = bad
    save(tmp_path / "sigma.nii", level)
    with pytest.raises(InputError, match="finite and not negative"):
        EstimateNoised("image", str(tmp_path / "sigma.nii"))({"image": torch.rand(1, *SHAPE)})


def test_a_map_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing.nii"):
        EstimateNoised("image", str(tmp_path / "nothing.nii"))({"image": torch.rand(1, *SHAPE)})
