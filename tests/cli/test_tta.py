"""``--tta`` from outside: the average over mirror images of files of each kind, its map, its record, its next run."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

import mri_denoise
from mri_denoise.io import chunks
from mri_denoise.noise.simulate import add_rician, add_salt_pepper
from mri_denoise.simulation.files import write_phantom_dicom
from tests.commands import cli, make_bundle
from tests.phantoms import head

SHAPE = (24, 22, 8)
AFFINE = np.diag([2.0, 2.0, 6.0, 1.0])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle("hmad_rician", tmp_path_factory.mktemp("bundle") / "tiny")


@pytest.fixture(scope="module")
def noisy() -> np.ndarray:
    clean = (800 * head(SHAPE)).astype(np.float32)
    return add_rician(clean, 30.0, np.random.default_rng(0))


def values(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)


def test_a_series_in_chunks_its_map_its_record_and_the_next_run(
    tmp_path: Path, noisy: np.ndarray, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    series = np.stack([noisy, noisy[::-1], noisy[:, ::-1]], axis=3)
    source, out = tmp_path / "in.nii.gz", tmp_path / "out.nii.gz"
    nib.save(nib.Nifti1Image(series, AFFINE), source)
    options = ("--model", bundle, "--sigma", 30, "--quality", "fast")
    monkeypatch.setattr(chunks, "CHUNK_VOXELS", noisy.size)  # a volume at a time
    [record] = json.loads(cli("denoise", source, out, *options, "--tta", "--json").stdout)["done"]
    assert record["settings"]["tta"] is True
    assert record["companions"] == [str(tmp_path / "out_uncertainty.nii.gz")]
    result, spread = values(out), values(tmp_path / "out_uncertainty.nii.gz")
    assert spread.shape == series.shape and spread.dtype == np.float32 and spread.min() >= 0 < spread.max()
    # each volume by itself, and a mirrored one gives the mirrored result bit for bit
    for image in (result, spread):
        np.testing.assert_array_equal(image[..., 1], image[::-1, ..., 0])
        np.testing.assert_array_equal(image[..., 2], image[:, ::-1, :, 0])
    assert "1 done before" in cli("denoise", source, out, *options, "--tta").stdout
    assert "made with tta" in cli("denoise", source, out, *options, code=1).stderr


def test_dicom_and_pictures(tmp_path: Path, noisy: np.ndarray, bundle: Path) -> None:
    write_phantom_dicom(tmp_path / "in" / "series", noisy / 1000, (2.0, 2.0, 6.0))
    cli("denoise", tmp_path / "in", tmp_path / "out", "--model", bundle, "--sigma", 90, "--quality", "fast", "--tta")
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == SHAPE[2]
    [spread] = (tmp_path / "out").rglob("*_uncertainty.nii.gz")
    assert values(spread).shape == SHAPE and values(spread).max() > 0

    salt = make_bundle("hmad_salt_pepper", tmp_path / "salt")
    clean = (255 * head(SHAPE)[:, :, 3]).astype(np.float32)
    picture = add_salt_pepper(clean, 0.2, np.random.default_rng(0), salt=255.0).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    Image.fromarray(picture[:, ::-1]).save(tmp_path / "b.png")
    found, size = [], ("--picture-size", 20)
    for name in ("a", "b"):
        cli("denoise", tmp_path / f"{name}.png", tmp_path / f"{name}_out.png", "--model", salt, "--tta", *size)
        with (
            Image.open(tmp_path / f"{name}_out.png") as image,
            Image.open(tmp_path / f"{name}_out_uncertainty.tif") as tif,
        ):
            found.append((np.asarray(image), np.asarray(tif)))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other[:, ::-1])
    assert found[0][0].shape == found[0][1].shape == (20, 20) and found[0][1].max() > 0


def test_bids_names_the_map(tmp_path: Path, noisy: np.ndarray, bundle: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    (raw / "sub-01" / "anat").mkdir(parents=True)
    (raw / "dataset_description.json").write_text('{"Name": "one", "BIDSVersion": "1.10.0"}')
    nib.save(nib.Nifti1Image(noisy, AFFINE), raw / "sub-01" / "anat" / "sub-01_T1w.nii.gz")
    options = ("--model", bundle, "--sigma", 30, "--quality", "fast")
    cli("bids", raw, out, "participant", *options, "--tta")
    beside = out / "sub-01" / "anat"
    said = json.loads((beside / "sub-01_desc-uncertainty_T1w.json").read_text())
    assert said["Settings"]["tta"] is True and "mirror images" in said["Description"]
    assert values(beside / "sub-01_desc-uncertainty_T1w.nii.gz").max() > 0
    assert "up to date" in cli("bids", raw, out, "participant", *options, "--tta").stdout
    cli("bids", raw, out, "participant", *options)  # done again without: the map would not fit any more
    assert not list(beside.glob("*uncertainty*"))


def test_in_python(tmp_path: Path, noisy: np.ndarray, bundle: Path) -> None:
    options = {"model": str(bundle), "sigma": 30, "quality": "fast", "spacing": (2, 2, 6), "trust": True}
    result = mri_denoise.denoise(noisy, tta=True, **options)
    nib.save(nib.Nifti1Image(noisy, AFFINE), tmp_path / "in.nii")
    del options["spacing"]
    mri_denoise.denoise(tmp_path / "in.nii", output=tmp_path / "out.nii", tta=True, **options)
    np.testing.assert_array_equal(values(tmp_path / "out.nii"), result)
    assert (tmp_path / "out_uncertainty.nii.gz").is_file()
