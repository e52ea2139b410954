"""``--json`` from outside: where a command can do nothing, programs read why as JSON, too."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.commands import cli


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an empty file, one without images, and an image that is no magnitude."""
    (tmp_path / "nothing").mkdir()
    (tmp_path / "empty.nii.gz").touch()
    (tmp_path / "lfs.nii.gz").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    (tmp_path / "annex.nii.gz").symlink_to(".git/annex/objects/aa/bb/key/key")
    (tmp_path / "link.nii.gz").symlink_to("elsewhere.nii.gz")
    nib.save(nib.Nifti1Image(np.full((8, 8, 8), -1, np.float32), np.eye(4)), tmp_path / "negative.nii.gz")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("denoise", "empty.nii.gz", "out.nii.gz"), "empty file"),
        (
            ("denoise", "lfs.nii.gz", "out.nii.gz"),
            "lfs.nii.gz: its content is not here (git-annex or Git LFS); fetch it",
        ),
        (("denoise", "annex.nii.gz", "out.nii.gz"), "annex.nii.gz: its content is not here (git-annex or Git LFS)"),
        (("noise", "annex.nii.gz"), "datalad get"),
        (("noise", "link.nii.gz"), "broken link; fetch the file"),
        (("denoise", "nothing", "out"), "no image found"),
        (("noise", "empty.nii.gz"), "empty file"),
        (("dicom", "nothing"), "no image found"),
        (("report", "nothing"), "no run record"),
        (("simulate", "negative.nii.gz", "out.nii.gz"), "no value above 0"),
        (("evaluate", "negative.nii.gz", "empty.nii.gz"), "empty file"),
        (("adapt", "nothing", "--output", "out"), "no image found"),
        (("train", "nothing", "out"), "no image found"),
        (("benchmark", "scans", "empty.nii.gz", "--output", "out"), "empty file"),
    ],
)
def test_an_error_is_json_as_well(
    folder: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], why: str
) -> None:
    monkeypatch.chdir(folder)
    result = cli(*words, "--json", code=1)
    assert json.loads(result.stdout).keys() == {"error"} and why in json.loads(result.stdout)["error"]
    assert why in result.stderr
    assert cli(*words, code=1).stdout == ""


def test_json_that_was_printed_is_not_followed_by_other(folder: Path) -> None:
    result = cli("dicom", folder / "negative.nii.gz", "--json", code=1)
    assert json.loads(result.stdout) == {"volumes": [], "left_alone": []} and "no DICOM" in result.stderr


def test_wrong_usage_is_for_people(folder: Path) -> None:
    result = cli("denoise", folder / "nowhere.nii.gz", folder / "out.nii.gz", "--json", code=2)
    assert result.stdout == "" and "no such file" in result.stderr
