"""Options that are for images of another kind: said in a line, and without a trace in results, records and UIDs."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from PIL import Image

from mri_denoise.simulation import phantom_affine, write_phantom_dicom
from tests.commands import cli
from tests.phantoms import head

SHAPE = (40, 48, 8)


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    noisy = np.hypot(900 * head(SHAPE) + rng.normal(0, 30, SHAPE), rng.normal(0, 30, SHAPE))
    path = tmp_path / "head.nii.gz"
    nib.save(nib.Nifti1Image(noisy.astype(np.int16), phantom_affine(SHAPE)), path)
    return path


def test_a_result_is_up_to_date_whatever_options_for_other_kinds_were_given(tmp_path: Path, volume: Path) -> None:
    out = tmp_path / "out.nii.gz"
    options = ("--picture-size", 64, "--keep-vendor-headers", "--to-nifti", "--plain-names")
    said = cli("denoise", volume, out, *options).stderr
    assert all(f"note {option}: has no effect here" in said for option in options if isinstance(option, str))
    record = json.loads((tmp_path / "out.mri-denoise.json").read_text())
    assert record["settings"]["picture_size"] is None
    plain = cli("denoise", volume, out)
    assert "1 done before" in plain.stdout and "note" not in plain.stderr


def test_a_derived_series_has_the_same_identifiers(tmp_path: Path) -> None:
    write_phantom_dicom(tmp_path / "study", 0.9 * head(SHAPE), (1.0, 1.0, 3.0))
    for name, options in (("a", ()), ("b", ("--picture-size", 64))):
        cli("denoise", tmp_path / "study", tmp_path / name, *options)
    first, second = ([p for p in sorted((tmp_path / name).rglob("*")) if p.suffix == ".dcm"] for name in "ab")
    uids = [[pydicom.dcmread(p, stop_before_pixels=True).SOPInstanceUID for p in paths] for paths in (first, second)]
    assert uids[0] == uids[1] and len(uids[0]) == SHAPE[2]
    cli("denoise", tmp_path / "study", tmp_path / "c", "--to-nifti")
    again = cli("denoise", tmp_path / "study", tmp_path / "c", "--to-nifti", "--keep-vendor-headers")
    assert "1 done before" in again.stdout and "--keep-vendor-headers: has no effect" in again.stderr


def test_where_an_option_has_an_effect_it_counts(tmp_path: Path, volume: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    volume.rename(folder / volume.name)
    pixels = np.random.default_rng(0).integers(0, 255, (40, 50), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "p.png")
    said = cli("denoise", folder, tmp_path / "out", "--picture-size", 32).stderr
    assert "no effect" not in said
    with Image.open(tmp_path / "out" / "denoised_p.png") as picture:
        assert picture.size == (32, 32)
    again = cli("denoise", folder, tmp_path / "out", code=1)
    assert "made with picture_size 32, not None" in again.stderr and "1 done before" in again.stdout
