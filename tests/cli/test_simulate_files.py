"""The files of ``mri-denoise simulate`` from outside: all of them or none, and never over the image that is copied."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mri_denoise.simulation import phantom_affine, write_phantom_dicom
from tests.commands import cli
from tests.phantoms import head

SHAPE = (40, 48, 8)


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    path = tmp_path / "x_truth.nii.gz"
    nib.save(nib.Nifti1Image((900 * head(SHAPE)).astype(np.float32), phantom_affine(SHAPE)), path)
    return path


def test_a_map_beside_the_copy_never_replaces_the_image_that_is_copied(tmp_path: Path, clean: Path) -> None:
    before = clean.read_bytes()
    options = ("--noise", "scanner", "--overwrite")
    said = cli("simulate", clean, tmp_path / "x.nii.gz", *options, code=1).stderr
    assert f"{clean}: is an input and is not overwritten" in said
    assert clean.read_bytes() == before and list(tmp_path.iterdir()) == [clean]


def test_a_copy_is_replaced_as_asked(tmp_path: Path, clean: Path) -> None:
    names = ["y.mri-denoise.json", "y.nii.gz", "y_sigma.nii.gz", "y_truth.nii.gz"]
    for seed in (1, 2):
        options = ("--noise", "scanner", "--seed", seed, "--overwrite")
        cli("simulate", clean, tmp_path / "out" / "y.nii.gz", *options)
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
        assert f'"seed": {seed}' in (tmp_path / "out" / names[0]).read_text()
    write_phantom_dicom(tmp_path / "study", 0.9 * head(SHAPE), (1.0, 1.0, 3.0))
    for seed in (1, 2):
        cli("simulate", tmp_path / "study", tmp_path / "dicom", "--seed", seed, "--overwrite")
        files = [path for path in (tmp_path / "dicom").rglob("*") if path.is_file()]
        assert len(files) == SHAPE[2] + 1 and not [path for path in files if path.name.startswith(".")]


@pytest.mark.skipif(os.name != "posix", reason="limits the size of files by the shell's ulimit")
@pytest.mark.parametrize("noise", ["rician", "scanner"])
def test_where_a_file_cannot_be_written_none_is_there(tmp_path: Path, clean: Path, noise: str) -> None:
    command = [sys.executable, "-m", "mri_denoise.cli.main", "simulate", str(clean), str(tmp_path / "out" / "y.nii.gz")]
    limited = f'trap "" XFSZ; ulimit -f 20; exec "$@" --noise {noise}'  # the record alone would fit
    done = subprocess.run(["bash", "-c", limited, "bash", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "cannot be written (File too large)" in done.stderr, done.stderr
    assert not (tmp_path / "out").exists()
