"""Cleaner references for training: what is written, what the datalist then says, and how a broken run goes on."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from mri_denoise.denoiser import Denoiser
from mri_denoise.simulation import phantom_affine
from mri_denoise.training.references import make_reference
from tests.commands import cli, make_bundle
from tests.phantoms import head

ROOT = Path(__file__).parents[2]
SHAPE = (40, 36, 16)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle("hmad_rician", tmp_path_factory.mktemp("bundle") / "tiny")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "volumes" / "train").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in "ab":
        clean = 900 * head(SHAPE)
        noisy = np.hypot(clean + rng.normal(0, 30, SHAPE), rng.normal(0, 30, SHAPE)).astype(np.int16)
        nib.save(nib.Nifti1Image(noisy, phantom_affine(SHAPE)), folder / f"volumes/train/{name}.nii.gz")
    entries = [{"image": f"volumes/train/{name}.nii.gz", "contrast": "T1w"} for name in "ab"]
    (folder / "datalist.json").write_text(json.dumps({"training": entries, "validation": [], "test": []}))
    return folder


def test_references_are_written_once_and_listed_with_their_weight(dataset: Path, bundle: Path) -> None:
    first = cli("data", "references", dataset, "--model", bundle).output
    assert "2 references" in first and first.count("sigma") == 2
    listed = json.loads((dataset / "datalist.json").read_text())["training"]
    assert [(e["image"], e["weight"], e["contrast"]) for e in listed] == [
        ("volumes/train/a.nii.gz", 1.0, "T1w"),
        ("volumes/train/b.nii.gz", 1.0, "T1w"),
        ("references/train/a.nii.gz", 3.0, "T1w"),
        ("references/train/b.nii.gz", 3.0, "T1w"),
    ]
    before = {n: (dataset / f"references/train/{n}.nii.gz").read_bytes() for n in "ab"}
    source = nib.load(dataset / "volumes/train/a.nii.gz")
    result = nib.load(dataset / "references/train/a.nii.gz")
    np.testing.assert_array_equal(source.affine, result.affine)
    assert not np.array_equal(np.asarray(source.dataobj), np.asarray(result.dataobj))
    (dataset / "references/train/b.nii.gz").unlink()
    assert cli("data", "references", dataset, "--model", bundle).output.count("sigma") == 1  # only what was missing
    assert {n: (dataset / f"references/train/{n}.nii.gz").read_bytes() for n in "ab"}["a"] == before["a"]
    assert json.loads((dataset / "datalist.json").read_text())["training"] == listed


def test_a_reference_keeps_no_noise_where_it_is_strong(tmp_path: Path) -> None:
    """As parallel imaging makes it in the middle: by the median alone two fifths of it stayed there."""
    shape = (96, 112, 20)
    clean = 900 * head(shape)
    places = np.indices(shape[:2]) - np.array(shape[:2])[:, None, None] / 2
    uneven = 12 * (1 + 2.5 * np.exp(-np.square(places).sum(0) / (2 * 18**2)))[..., None] * np.ones(shape)
    rng = np.random.default_rng(0)
    noisy = np.hypot(clean + rng.normal(0, uneven), rng.normal(0, uneven)).astype(np.float32)
    nib.save(nib.Nifti1Image(noisy, phantom_affine(shape)), tmp_path / "scan.nii.gz")
    make_reference(tmp_path / "scan.nii.gz", tmp_path / "out" / "scan.nii.gz", Denoiser.load("rician", device="cpu"))
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == ["scan.mri-denoise.json", "scan.nii.gz"]
    result = nib.load(tmp_path / "out" / "scan.nii.gz").get_fdata()
    even = ndimage.maximum_filter(clean, (5, 5, 1)) - ndimage.minimum_filter(clean, (5, 5, 1)) < 30
    strong = (uneven > 30) & (clean > 200) & even
    left = result - ndimage.uniform_filter(result, (3, 3, 1))
    assert np.std(left[strong]) < 0.2 * np.mean(uneven[strong])


def test_a_folder_without_a_datalist_is_refused_in_one_line(tmp_path: Path, bundle: Path) -> None:
    assert "datalist" in cli("data", "references", tmp_path, "--model", bundle, code=1).output
