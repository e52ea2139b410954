"""Both ends of the chain that ``python -m monai.bundle run`` goes through: what is loaded, and what is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from mri_denoise.bundles.weights import sha256
from mri_denoise.errors import InputError, OutputError
from mri_denoise.io.case import Case
from mri_denoise.transforms import BlendStrengthd, EstimateNoised, LoadVolumed, SaveVolumed
from mri_denoise.transforms.files import find_cases

SHAPE = (9, 8, 7)
AFFINE = np.diag([1.0, 1.0, 4.0, 1.0])
MODEL = {"name": "test", "version": "1", "weights_sha256": "0" * 64}


def save(path: Path, array: np.ndarray) -> Case:
    nib.save(nib.Nifti1Image(array, AFFINE), path)
    return Case(kind="nifti", sources=(path,), output=Path("out") / path.name, label=path.name)


def chain(case: Case, folder: Path, change: Callable[[torch.Tensor], torch.Tensor], **options: Any) -> dict[Any, Any]:
    """Load, take ``change`` for a network, blend and write."""
    item = LoadVolumed("image", [case])({"case": 0})
    item = EstimateNoised("image", options.pop("sigma", 1.0))(item)
    item["pred"] = change(item["image"])
    item = BlendStrengthd("pred", options.pop("strength", 1.0))(item)
    return SaveVolumed("pred", [case], folder, MODEL, **options)(item)


def test_loading_gives_image_geometry_and_no_nan(tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(0, 1, (*SHAPE, 2)).astype(np.float32)
    array[0, 0, 0, 0], array[2, 0, 0, 1] = np.nan, -np.inf
    array[4:, :, :, 1] = np.inf
    item = LoadVolumed("image", [save(tmp_path / "x.nii", array)])({"case": 0})
    wanted = np.moveaxis(np.nan_to_num(array, nan=0, posinf=0, neginf=0), -1, 0)
    for t, x in ((0, 0), (1, 2)):  # single ones are filled from around them
        around = array[max(x - 1, 0) : x + 2, :2, :2, t]
        wanted[t, x, 0, 0] = around[np.isfinite(around)].mean()
    np.testing.assert_allclose(item["image"].numpy(), wanted, rtol=1e-5, atol=1e-6)
    wanted = item["image"].numpy()
    np.testing.assert_array_equal(item["raw"].numpy(), wanted)
    np.testing.assert_array_equal(item["image"].affine.numpy(), AFFINE)
    assert (item["slice_axis"], item["contiguous"], "white_level" in item) == (2, True, False)


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "f4", "f8"])
def test_strength_0_is_the_input_bit_for_bit(tmp_path: Path, dtype: str) -> None:
    array = (1000 * np.random.default_rng(0).random(SHAPE)).astype(dtype)
    case = save(tmp_path / "x.nii", array)
    chain(case, tmp_path, torch.zeros_like, strength=0)
    assert (tmp_path / case.output).read_bytes() == (tmp_path / "x.nii").read_bytes()


def test_the_written_file_has_its_nan_back(tmp_path: Path) -> None:
    array = np.random.default_rng(0).random(SHAPE, dtype=np.float32)
    array[2, 3, 4], array[0, 0, 0], array[1, 1, 1] = np.nan, np.inf, -np.inf
    case = save(tmp_path / "x.nii.gz", array)
    chain(case, tmp_path, lambda x: x + 1)
    out = nib.load(tmp_path / case.output).get_fdata(dtype=np.float32)
    np.testing.assert_array_equal(np.isnan(out), np.isnan(array))
    np.testing.assert_array_equal(out[~np.isfinite(array)], array[~np.isfinite(array)])
    np.testing.assert_allclose(out[np.isfinite(array)], array[np.isfinite(array)] + 1)


def test_the_record_and_the_companions(tmp_path: Path) -> None:
    array = (1 + np.random.default_rng(0).random((*SHAPE, 2))).astype(np.float32)
    case = save(tmp_path / "x.nii.gz", array)
    item = chain(
        case, tmp_path, lambda x: 0.5 * x, sigma=0.25, extras=["residual", "noise-map"],
        settings={"sigma": "0.25", "strength": 1.0},
    )  # fmt: skip
    out = nib.load(tmp_path / "out/x.nii.gz").get_fdata(dtype=np.float32)
    residual = nib.load(tmp_path / "out/x_residual.nii.gz")
    noise = nib.load(tmp_path / "out/x_noise.nii.gz").get_fdata()
    np.testing.assert_allclose(out + residual.get_fdata(), array, rtol=1e-6)
    np.testing.assert_array_equal(residual.affine, AFFINE)
    assert noise.shape == array.shape and (noise == 0.25).all()
    record = json.loads((tmp_path / "out/x.mri-denoise.json").read_text())
    assert record == json.loads(json.dumps(item["record"].as_dict()))
    assert record["sigma"] == [0.25, 0.25] and record["model"] == MODEL
    assert record["inputs"] == [{"path": str(tmp_path / "x.nii.gz"), "sha256": sha256(tmp_path / "x.nii.gz")}]
    assert record["outputs"] == [str(tmp_path / "out/x.nii.gz")]
    assert [Path(p).name for p in record["companions"]] == ["x_residual.nii.gz", "x_noise.nii.gz"]
    assert record["seconds"] >= 0 and {"python", "mri-denoise", "torch", "monai"} <= set(record["versions"])


def test_a_result_is_never_written_over_its_input(tmp_path: Path) -> None:
    case = save(tmp_path / "x.nii", np.ones(SHAPE, np.float32))
    before = (tmp_path / "x.nii").read_bytes()
    same = Case(kind="nifti", sources=case.sources, output=Path("x.nii"), label="x.nii")
    with pytest.raises(InputError, match="x.nii"):
        chain(same, tmp_path, lambda x: x + 1)
    assert (tmp_path / "x.nii").read_bytes() == before


def test_results_are_replaced_and_other_files_are_not(tmp_path: Path) -> None:
    case = save(tmp_path / "x.nii", np.ones(SHAPE, np.float32))
    results = [chain(case, tmp_path, lambda x, value=value: x + value)["record"].outputs for value in (1, 2)]
    assert results[0] == results[1] and (nib.load(results[1][0]).get_fdata() == 3).all()
    result = Path(results[1][0])
    result.write_bytes(b"somebody's work")
    result.with_name("x.mri-denoise.json").unlink()
    with pytest.raises(OutputError, match=r"is no result of mri-denoise; move it"):
        chain(case, tmp_path, lambda x: x)
    assert result.read_bytes() == b"somebody's work"


def test_metadata_of_the_image_reaches_the_companions_of_a_map(tmp_path: Path) -> None:
    level = np.random.default_rng(0).random(SHAPE, dtype=np.float32)
    save(tmp_path / "sigma.nii", level)
    case = save(tmp_path / "x.nii", np.ones(SHAPE, np.float32))
    item = chain(case, tmp_path, lambda x: x, sigma=str(tmp_path / "sigma.nii"), extras=["noise-map"])
    assert isinstance(item["raw"], MetaTensor)
    np.testing.assert_array_equal(nib.load(tmp_path / "out/x_noise.nii.gz").get_fdata(dtype=np.float32), level)
    assert item["record"].sigma == [pytest.approx(float(torch.from_numpy(level).median()))]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nib.save(nib.Nifti1Image(np.ones((4, 4, 4), np.float32), np.eye(4)), tmp_path / "good.nii.gz")
    (tmp_path / "bad.nii.gz").write_bytes((tmp_path / "good.nii.gz").read_bytes()[:40])
    [case] = find_cases(tmp_path)
    assert "good" in case.label and "bad.nii.gz" in capsys.readouterr().err
