"""``dicom``, ``denoise --to-nifti`` and ``--force`` from outside."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

from tests.commands import cli, make_bundle
from tests.io.dicom.frames_phantom import enhanced, frames, mosaic
from tests.io.dicom.phantom import Phantom, save, series

CT = Path(str(get_testdata_file("CT_small.dcm")))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle("hmad_rician", tmp_path_factory.mktemp("bundle") / "tiny")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A classic series, an enhanced one with a field map, a mosaic, phase images and CT."""
    folder = tmp_path / "study"
    size = {"rows": 32, "columns": 32}
    save(series(Phantom(**size), SeriesNumber=10), folder / "classic")
    save(series(Phantom(uid="p", **size), SeriesNumber=3, ComplexImageComponent="PHASE"), folder / "phase")
    plan = frames() + frames(kind=("T2", "FIELD_MAP"), component="REAL")
    both = enhanced(plan, Phantom(uid="e", **size))
    tiles = mosaic(np.random.default_rng(0).integers(0, 4096, (5, 32, 32)).astype(np.uint16))
    both.SeriesNumber, tiles.SeriesNumber, tiles.SeriesInstanceUID = 2, 7, "1.2.3"
    save([both, tiles], folder / "other")
    (folder / "other" / "ct.dcm").write_bytes(CT.read_bytes())
    return folder


def test_the_list_says_what_each_volume_is_and_why_the_rest_is_left(study: Path) -> None:
    lines = cli("dicom", study).stdout.splitlines()
    assert [line.split(":")[0] for line in lines[:3]] == [
        "classic/10_t2_tse_cor",
        "other/2_t2_tse_cor",
        "other/7_t2_tse_cor",
    ]
    assert "classic MR, TE 85 ms, 4 files, 32 x 32 x 4, 1.1 x 0.9 x 3 mm, would be denoised" in lines[0]
    assert "enhanced MR, TE 30 ms, 1 file, 32 x 32 x 4" in lines[1]
    assert "mosaic MR, TE 85 ms, 1 file, 32 x 32 x 5" in lines[2]
    rest = "\n".join(lines[3:])
    assert "CT, not MR" in rest and "frames 5-8: field map" in rest
    assert f"{study / 'phase'}: 4 files, not denoised: phase image (Complex Image Component)" in rest


def test_the_list_as_json_and_forced(study: Path) -> None:
    found = json.loads(cli("dicom", study, "--json").stdout)
    assert [volume["shape"] for volume in found["volumes"]] == [[32, 32, 4], [32, 32, 4], [32, 32, 5]]
    assert all(volume["denoised"] and volume["voxel_mm"] == [1.1, 0.9, 3.0] for volume in found["volumes"])
    assert {entry["reason"].split(" (")[0] for entry in found["left_alone"]} == {
        *("CT, not MR", "phase image", "frames 5-8: field map")
    }
    forced = json.loads(cli("dicom", study, "--json", "--force").stdout)
    assert sorted(volume["volumes"] for volume in forced["volumes"]) == [1, 1, 1, 2]
    assert [entry["reason"] for entry in forced["left_alone"]] == ["CT, not MR (CT Image Storage)"]
    notes = [note for volume in forced["volumes"] for note in volume["notes"]]
    assert any(note.startswith("forced: phase image") for note in notes)


def test_nothing_eligible_and_no_path(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "ct.dcm").write_bytes(CT.read_bytes())
    assert "CT, not MR" in cli("dicom", tmp_path / "in", code=1).stdout
    assert "no such file" in cli("dicom", tmp_path / "none", code=2).stderr
    nib.save(nib.Nifti1Image(np.ones((8, 8, 8), np.float32), np.eye(4)), tmp_path / "a.nii")
    assert "holds no DICOM" in cli("dicom", tmp_path / "a.nii", code=1).stderr


def test_a_mixed_study_is_denoised_and_what_is_skipped_is_listed(study: Path, tiny: Path, tmp_path: Path) -> None:
    done = cli("denoise", study, tmp_path / "out", "--model", tiny, "--sigma", 200)
    assert done.stdout.splitlines()[-1] == "3 denoised, 6 skipped, 0 failed."
    assert "frames 5-8: field map" in done.stderr and "CT, not MR" in done.stderr
    (file,) = (tmp_path / "out" / "other" / "2_t2_tse_cor").iterdir()
    result = pydicom.dcmread(file)
    source = next(ds for ds in map(pydicom.dcmread, (study / "other").iterdir()) if ds.get("NumberOfFrames") == 8)
    np.testing.assert_array_equal(result.pixel_array[4:], source.pixel_array[4:])
    assert (result.pixel_array[:4] != source.pixel_array[:4]).any()


def test_forced_phase_images_are_denoised_and_noted(study: Path, tiny: Path, tmp_path: Path) -> None:
    options = ("--model", tiny, "--sigma", 200)
    assert "phase image" in cli("denoise", study / "phase", tmp_path / "a", *options, code=1).stderr
    done = cli("denoise", study / "phase", tmp_path / "b", *options, "--force")
    assert "note 3_t2_tse_cor: forced: phase image" in done.stderr
    assert len(list((tmp_path / "b" / "3_t2_tse_cor").iterdir())) == 4


def test_nifti_from_a_zip_file_and_from_one_file(study: Path, tiny: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "case 7.zip", "w") as archive:
        for file in (study / "classic").iterdir():
            archive.write(file, file.name)
    options = ("--model", tiny, "--sigma", 200, "--to-nifti")
    cli("denoise", tmp_path / "case 7.zip", tmp_path / "out", *options, "--residual")
    image = nib.load(tmp_path / "out" / "case 7" / "10_t2_tse_cor.nii.gz")
    assert image.shape == (32, 32, 4) and image.get_data_dtype() == np.int16
    assert (tmp_path / "out" / "case 7" / "10_t2_tse_cor_residual.nii.gz").is_file()
    assert (tmp_path / "out" / "case 7" / "10_t2_tse_cor.mri-denoise.json").is_file()
    assert "1 done before" in cli("denoise", tmp_path / "case 7.zip", tmp_path / "out", *options).stdout
    tiles = next(path for path in (study / "other").iterdir() if b"MOSAIC" in path.read_bytes())
    cli("denoise", tiles, tmp_path / "one.nii.gz", *options)
    assert nib.load(tmp_path / "one.nii.gz").shape == (32, 32, 5)


def test_two_patients_are_kept_apart_and_said(tiny: Path, tmp_path: Path) -> None:
    for patient in ("P1", "P2"):
        made = series(Phantom(slices=2, rows=32, columns=32, uid=patient), PatientID=patient, SeriesInstanceUID="1.2.3")
        save(made, tmp_path / "in")
    options = ("--model", tiny, "--sigma", 200)
    done = cli("denoise", tmp_path / "in", tmp_path / "out", *options)
    assert "the folder holds 2 patients" in done.stderr
    folders = sorted(path for path in (tmp_path / "out").iterdir() if path.is_dir())
    found = [{(ds.PatientID, ds.SeriesInstanceUID) for ds in map(pydicom.dcmread, f.iterdir())} for f in folders]
    assert [len(pairs) for pairs in found] == [1, 1]
    assert len({uid for pairs in found for _, uid in pairs}) == 2


@pytest.mark.parametrize("options", [(), ("--to-nifti",)])
def test_plain_names_hold_no_description(tmp_path: Path, tiny: Path, options: tuple[str, ...]) -> None:
    size = {"rows": 32, "columns": 32}
    for number, uid in ((4, "a"), (4, "b"), (None, "c")):
        save(series(Phantom(uid=uid, **size), SeriesNumber=number, SeriesDescription="Doe Jane"), tmp_path / "in" / uid)
    out, more = tmp_path / "out", ("--residual", "--sigma", 20, "--plain-names", *options)
    said = cli("denoise", tmp_path / "in", out, "--model", tiny, "--trust", *more).output
    written = [path.relative_to(out).as_posix() for path in out.rglob("*")]
    ending = ".nii.gz" if options else ""
    assert {f"a/4_series{ending}", f"b/4_series{ending}", f"c/series{ending}"} <= set(written)
    assert "Doe" not in said + "".join(written)
    for record in out.rglob("*.mri-denoise.json"):
        assert "Doe" not in record.read_text()
