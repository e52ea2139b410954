"""Files that this package denoised are known by their run records."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mri_denoise.errors import InputError
from mri_denoise.io import discover


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder with a result, its residual, a picture, a noisy copy and an image that is nobody's result."""
    for name in ("a", "a_residual", "noisy", "other"):
        nib.save(nib.Nifti1Image(np.ones((4, 4, 4), np.int16), np.eye(4)), tmp_path / f"{name}.nii.gz")
    record = {
        "model": {"name": "rician"},
        "outputs": ["/elsewhere/a.nii.gz"],
        "companions": ["C:\\x\\a_residual.nii.gz"],
    }
    (tmp_path / "a.mri-denoise.json").write_text(json.dumps(record))
    (tmp_path / "noisy.mri-denoise.json").write_text(json.dumps({"noise": "rician", "outputs": ["noisy.nii.gz"]}))
    (tmp_path / "broken.mri-denoise.json").write_text("{")
    (tmp_path / "list.mri-denoise.json").write_text("[1]")
    return tmp_path


def test_results_and_their_maps_are_left_alone_on_request(results: Path) -> None:
    cases, skips = discover(results, own_results=False)
    assert [case.label for case in cases] == ["noisy.nii.gz", "other.nii.gz"]
    assert {skip.source.name: skip.reason for skip in skips} == {
        "a.nii.gz": "denoised already, by its record a.mri-denoise.json",
        "a_residual.nii.gz": "belongs to a denoised image, by its record a.mri-denoise.json",
    }
    assert not any(skip.damaged for skip in skips)
    with pytest.raises(InputError, match="denoised already"):
        discover(results / "a.nii.gz", own_results=False)


def test_results_of_a_bids_data_set_are_known_by_their_json_files(results: Path) -> None:
    made = {"Sources": ["bids:raw:x"], "Model": "hmad_rician", "ModelVersion": "1", "WeightsSHA256": "0"}
    for name, content in (("noisy", {"EchoTime": 0.003}), ("other", made)):
        (results / f"{name}.json").write_text(json.dumps(content))
    cases, skips = discover(results, own_results=False)
    assert [case.label for case in cases] == ["noisy.nii.gz"]
    assert "denoised already, by its JSON file other.json" in [skip.reason for skip in skips]


def test_they_are_taken_otherwise(results: Path) -> None:
    assert len(discover(results)[0]) == 4
    assert len(discover(results, own_results=False, force=True)[0]) == 4
