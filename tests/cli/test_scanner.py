"""``simulate --noise scanner``: the copy, its truth and sigma, and the record."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from mri_denoise.io import discover, read
from mri_denoise.simulation import phantom_affine, write_phantom_dicom
from tests.commands import cli
from tests.phantoms import head

SHAPE = (24, 30, 24)


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "head.nii.gz"
    path.parent.mkdir()
    nib.save(nib.Nifti1Image(1000 * head(SHAPE), phantom_affine(SHAPE)), path)
    return path


def values(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj, dtype=np.float32)


def test_a_scanner_drawn_by_the_seed_writes_image_truth_and_sigma(tmp_path: Path, volume: Path) -> None:
    output = tmp_path / "out.nii.gz"
    record = json.loads(cli("simulate", volume, output, "--noise", "scanner", "--seed", 3, "--json").stdout)
    image, truth, sigma = (values(tmp_path / f"out{name}.nii.gz") for name in ("", "_truth", "_sigma"))
    assert image.shape == truth.shape == sigma.shape == SHAPE
    assert record["scanner"]["coils"] == record["coils"] and 0.8 <= record["level_percent"] <= 10
    assert [Path(p).name for p in record["outputs"]] == ["out.nii.gz", "out_truth.nii.gz", "out_sigma.nii.gz"]
    assert json.loads((tmp_path / "out.mri-denoise.json").read_text()) == record
    for name in ("", "_truth", "_sigma"):
        np.testing.assert_array_equal(nib.load(tmp_path / f"out{name}.nii.gz").affine, nib.load(volume).affine)
    strong = truth > 10 * sigma
    # the median says what rounding and the floor do not change
    assert np.median(np.abs(image - truth)[strong] / sigma[strong]) == pytest.approx(0.6745, rel=0.15)
    again = tmp_path / "again.nii.gz"
    cli("simulate", volume, again, "--noise", "scanner", "--seed", 3)
    np.testing.assert_array_equal(values(again), image)


def test_options_replace_what_is_drawn(tmp_path: Path, volume: Path) -> None:
    options = ("--noise", "scanner", "--level", 5, "--coils", 8, "--acceleration", 2, "--method", "grappa")
    result = cli("simulate", volume, tmp_path / "a.nii", *options, "--combination", "rss", "--json")
    record = json.loads(result.stdout)
    found = {k: record["scanner"][k] for k in ("level", "coils", "acceleration", "method", "combination")}
    assert found == {"level": 0.05, "coils": 8, "acceleration": 2, "method": "grappa", "combination": "rss"}
    assert record["sigma"] == pytest.approx(50, rel=0.1)
    assert "sigma" in cli("simulate", volume, tmp_path / "b.nii", "--noise", "scanner", "--coils", 4).stdout


def test_impossible_options_are_refused_in_one_line(tmp_path: Path, volume: Path) -> None:
    options = ("--noise", "scanner", "--acceleration", 2, "--method", "sense", "--combination", "rss")
    assert "use GRAPPA" in cli("simulate", volume, tmp_path / "a.nii", *options, code=1).stderr
    message = cli("simulate", volume, tmp_path / "a.nii", "--acceleration", 2, code=2).stderr
    assert "goes with --noise scanner" in message and not (tmp_path / "a.nii").exists()
    for option, kind in (("--coils", "rician"), ("--coils", "salt-pepper"), ("--coverage", "scanner")):
        said = cli("simulate", volume, tmp_path / "a.nii", "--noise", kind, option, 0.5 if "v" in option else 2, code=2)
        assert f"{option} goes with --noise" in said.stderr


def test_dicom_series_and_pictures_are_scanned_too(tmp_path: Path) -> None:
    write_phantom_dicom(tmp_path / "series", head((24, 30, 8)), (8, 8, 24))
    record = json.loads(
        cli("simulate", tmp_path / "series", tmp_path / "out", "--noise", "scanner", "--coils", 4, "--json").stdout
    )
    cases, _ = discover(Path(record["outputs"][0]).parent)
    maps = [p for p in record["outputs"] if p.endswith(".nii.gz")]
    assert len(maps) == 2 and read(cases[0]).array.shape[1:] == nib.load(maps[0]).shape
    Image.fromarray((200 * head((24, 30, 8))[:, :, 4]).astype(np.uint8)).save(tmp_path / "grey.png")
    cli("simulate", tmp_path / "grey.png", tmp_path / "noisy.png", "--noise", "scanner", "--coils", 4)
    assert (tmp_path / "noisy_sigma.tif").exists() and (tmp_path / "noisy_truth.tif").exists()


def test_all_volumes_of_a_series_go_through_one_scanner(tmp_path: Path) -> None:
    series = np.repeat(head((24, 30, 8))[..., None], 3, axis=3)
    nib.save(nib.Nifti1Image(series, np.diag([8, 8, 24, 1])), tmp_path / "series.nii")
    cli("simulate", tmp_path / "series.nii", tmp_path / "out.nii", "--noise", "scanner", "--seed", 1)
    image, truth = values(tmp_path / "out.nii"), values(tmp_path / "out_truth.nii.gz")
    assert image.shape == truth.shape == (24, 30, 8, 3)
    np.testing.assert_array_equal(truth[..., 0], truth[..., 2])
    assert np.abs(image[..., 0] - image[..., 1]).max() > 0
