"""Values and paths that cannot be right: code 2 before anything is computed, and nothing is left behind."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.commands import cli


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: an image, a copy of it that is cut off, and a folder of somebody's files."""
    monkeypatch.chdir(tmp_path)
    array = np.random.default_rng(0).integers(0, 900, (16, 16, 16), dtype=np.int16)
    nib.save(nib.Nifti1Image(array, np.eye(4)), "image.nii.gz")
    Path("cut.nii.gz").write_bytes(Path("image.nii.gz").read_bytes()[:2000])
    Path("mine").mkdir()
    Path("mine", "notes.txt").write_text("mine")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("evaluate image.nii.gz image.nii.gz --peak 0", "--peak 0: must be a number above 0"),
        ("evaluate image.nii.gz image.nii.gz --peak nan", "--peak nan"),
        ("evaluate image.nii.gz image.nii.gz --peak inf", "--peak inf"),
        ("evaluate image.nii.gz image.nii.gz --mask mine", "--mask mine: must be auto"),
        ("adapt image.nii.gz --output new --device gpu", "device gpu: not available"),
        ("train mine new --device gpu", "device gpu: not available"),
        ("train mine new --set batch_size=[1", "--set batch_size=[1: its value is not YAML"),
        ("train mine new --set =1", "--set =1: must be KEY=VALUE"),
        ("bids mine new qc", "Invalid value for 'participant|group': 'qc' is not one of"),
        ("denoise image.nii.gz new.nii.gz --quality good", "Invalid value for '--quality': 'good' is not one of"),
        ("denoise image.nii.gz new.nii.gz --share 0/2", "--share 0/2: must be K/N"),
        ("denoise image.nii.gz new.nii.gz --share 1/2", "--share 1/2: more shares than images (1); use fewer"),
        ("demo image.nii.gz", "is a file"),
        ("demo mine", "holds other files"),
        ("data prepare nowhere new", "nowhere: no such folder"),
        ("data prepare mine image.nii.gz", "is a file"),
        ("data references nowhere", "nowhere: no such folder"),
        ("data scans nowhere new", "nowhere: no such folder"),
        ("data filtered image.nii.gz new", "is a file, but a folder is needed"),
        ("benchmark repeats image.nii.gz --output image.nii.gz", "is a file"),
        ("benchmark repeats image.nii.gz --output new --volumes ²-³", "--volumes ²-³: must be two numbers"),
        ("benchmark accuracy image.nii.gz --output image.nii.gz", "is a file"),
        ("benchmark scanners --output new --dataset nowhere", "nowhere: no such folder"),
        ("benchmark paper nowhere -o new", "nowhere: no such folder"),
        ("benchmark paper --images nowhere -o new", "nowhere: no such folder"),
        ("benchmark paper -o new", "give a prepared data set"),
        ("benchmark paper mine -o new --device gpu", "device gpu: not available"),
        ("benchmark paper mine -o new --set batchsize=4", "--set batchsize: no such value"),
    ],
)
def test_it_is_wrong_usage(place: Path, words: str, why: str) -> None:
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    assert why in cli(*words.split(), code=2).stderr
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before
    assert not Path("new").exists()


def test_a_damaged_volume_is_seen_before_the_machine_is_measured(place: Path) -> None:
    assert "cut.nii.gz: truncated" in cli("benchmark", "speed", "cut.nii.gz", "--quick", code=1).stderr
    assert not Path("speed").exists()


def test_a_damaged_file_among_others_is_exit_code_1(place: Path) -> None:
    Path("empty.nii.gz").touch()
    files = ("image.nii.gz", "empty.nii.gz")
    Path("scans").mkdir()
    for name in files:
        Path(name).rename(Path("scans", name))
    result = cli("benchmark", "scans", "scans", "--output", "new", "--slices", 4, code=1)
    assert "failed scans/empty.nii.gz: empty file" in result.stderr and result.stdout.startswith("| scan |")
