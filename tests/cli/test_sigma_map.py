"""``--sigma map``: a noise level estimated at each voxel, where noise varies as parallel imaging leaves it."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mri_denoise.noise.simulate import add_rician
from mri_denoise.simulation import phantom_affine
from tests.commands import cli
from tests.phantoms import head

SHAPE = (104, 128, 16)
PEAK, LEVEL = 1000.0, 40.0


@pytest.fixture(scope="module")
def clean() -> np.ndarray:
    return PEAK * head(SHAPE)


@pytest.fixture(scope="module")
def sigma() -> np.ndarray:
    """A g-factor of 1 at the rim to 2.5 in the middle, times the level."""
    x, y, _ = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    return (LEVEL * (1 + 1.5 * np.exp(-((x - 0.1) ** 2 + (y + 0.1) ** 2) / 0.3))).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, clean: np.ndarray, sigma: np.ndarray) -> Path:
    """``uneven.nii``, ``even.nii``, and ``uneven.nii`` denoised by both ways of estimating and with one number."""
    folder = tmp_path_factory.mktemp("map")
    for name, level in (("uneven", sigma), ("even", LEVEL)):
        noisy = add_rician(clean, level, np.random.default_rng(0))
        nib.save(nib.Nifti1Image(noisy, phantom_affine(SHAPE)), folder / f"{name}.nii")
    for kind, level in (("auto", "auto"), ("map", "map"), ("number", float(np.median(sigma)))):
        options = ("--sigma", level, "--noise-map", "--json")
        said = cli("denoise", folder / "uneven.nii", folder / f"{kind}.nii", *options).stdout
        (folder / f"{kind}.json").write_text(said)
    return folder


def values(path: Path) -> np.ndarray:
    return nib.load(path).get_fdata(dtype=np.float32)


def test_the_map_is_right_in_the_head_and_written(folder: Path, clean: np.ndarray, sigma: np.ndarray) -> None:
    head = clean > 0.04 * PEAK
    found = values(folder / "map_noise.nii.gz")
    assert np.abs(found[head] / sigma[head] - 1).mean() < 0.15
    [record] = json.loads((folder / "map.json").read_text())["done"]
    assert record["settings"]["sigma"] == "map" and record["sigma_variation"][0] > 1.2
    assert record["sigma"] == [pytest.approx(np.median(found), rel=1e-3)]


def test_denoising_is_better_than_with_one_level(folder: Path, clean: np.ndarray) -> None:
    head = clean > 0.04 * PEAK
    kinds = ("auto", "map", "number", "uneven")
    errors = {k: np.sqrt(np.mean((values(folder / f"{k}.nii") - clean)[head] ** 2)) for k in kinds}
    assert max(errors["auto"], errors["map"]) < 0.97 * errors["number"] < 0.9 * errors["uneven"]


def test_uneven_noise_is_recorded_and_told(folder: Path) -> None:
    [record] = json.loads((folder / "auto.json").read_text())["done"]
    assert 1.2 < record["sigma_variation"][0] < 3
    assert ", varies x" in cli("noise", folder / "uneven.nii").stdout
    assert "varies" not in cli("noise", folder / "even.nii").stdout


def test_a_file_called_map_is_named_with_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shape = (20, 24, 8)
    for name, array in (("in.nii", np.random.default_rng(0).rayleigh(40, shape)), ("map.nii", np.full(shape, 33))):
        nib.save(nib.Nifti1Image(array.astype(np.float32), phantom_affine(shape)), name)
    Path("map.nii").rename("map")
    options = ("--noise-map", "--strength", 0)
    cli("denoise", "in.nii", "a.nii", "--sigma", "./map", *options)
    assert (values(tmp_path / "a_noise.nii.gz") == 33).all()


def test_an_image_is_no_map_of_its_own_noise(tmp_path: Path) -> None:
    array = np.random.default_rng(0).rayleigh(40, (20, 24, 8)).astype(np.float32)
    for name in ("in.nii", "copy.nii"):
        nib.save(nib.Nifti1Image(array, phantom_affine(array.shape)), tmp_path / name)
    for name in ("in.nii", "copy.nii"):
        said = cli("denoise", tmp_path / "in.nii", tmp_path / "out.nii", "--sigma", tmp_path / name, code=1).stderr
        assert f"{name}: is the image itself" in said and not (tmp_path / "out.nii").exists()
