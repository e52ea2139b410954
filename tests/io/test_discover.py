"""Discovery: content decides, places under the folder stay, each unusable image is named with its reason."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom.data
import pytest
from PIL import Image

from mri_denoise.errors import InputError
from mri_denoise.io import discover, read
from mri_denoise.io.writing import write
from tests.io.derivation import DERIVATION


def volume(path: Path, kind: type = nib.Nifti1Image) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(kind(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4)), path)
    return path


def picture(path: Path, form: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4)).save(path, form)
    return path


def outputs(path: Path) -> list[str]:
    return [case.output.as_posix() for case in discover(path)[0]]


def test_single_files(tmp_path: Path) -> None:
    for name in ("a.nii", "a.nii.gz", "b.mgz", "b.mgh"):
        (case,), skips = discover(volume(tmp_path / name, nib.MGHImage if name[0] == "b" else nib.Nifti1Image))
        assert (case.kind, case.output, case.label, skips) == ("nifti", Path(name), name, [])
        assert read(case).array.shape == (1, 2, 3, 4)
    for name in ("a.png", "a.jpg", "a.bmp", "a.tif"):
        (case,), skips = discover(picture(tmp_path / name))
        assert (case.kind, case.output, skips) == ("picture", Path(f"denoised_{name}"), [])
        assert read(case).array.shape == (1, 3, 4, 1)


@pytest.mark.parametrize("start", ["a.hdr", "a.img"])
def test_pair_is_one_case(tmp_path: Path, start: str) -> None:
    volume(tmp_path / "a.img", nib.Spm2AnalyzeImage)
    for path in (tmp_path, tmp_path / start):
        (case,), skips = discover(path)
        assert case.sources == (tmp_path / "a.hdr", tmp_path / "a.img") and not skips
    written = write(case, read(case).array, tmp_path / "out" / case.output, DERIVATION)
    for source in case.sources:
        assert tmp_path / "out" / source.name in written
        assert (tmp_path / "out" / source.name).read_bytes() == source.read_bytes()


def test_half_pairs_are_named(tmp_path: Path) -> None:
    volume(tmp_path / "a.img", nib.Nifti1Pair)
    volume(tmp_path / "b.img", nib.Nifti1Pair)
    (tmp_path / "a.img").unlink()
    (tmp_path / "b.hdr").unlink()
    cases, skips = discover(tmp_path)
    assert not cases and [skip.source.name for skip in skips] == ["a.hdr", "b.img"]
    assert all("partner is missing" in skip.reason for skip in skips)
    with pytest.raises(InputError, match="partner is missing"):
        discover(tmp_path / "b.img")


def test_folder(tmp_path: Path) -> None:
    volume(tmp_path / "sub-02" / "b.nii.gz")
    volume(tmp_path / "sub-01" / "deep" / "a.nii")
    picture(tmp_path / "c.png")
    picture(tmp_path / "named_like_a_volume.nii", "PNG")
    shutil.copy(volume(tmp_path / "x.nii"), tmp_path / "without_ending")
    volume(tmp_path / ".hidden" / "a.nii")
    volume(tmp_path / ".a.nii")
    for name in ("a.json", "a.bval", "notes.TXT", "participants.tsv", "physio.tsv.gz", "README"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "empty.nii").touch()
    (tmp_path / "text.nii.gz").write_text("not an image")
    (tmp_path / "cut.nii.gz").write_bytes(gzip.compress(bytes(1000))[:15])
    np.savez(tmp_path / "raw.npz", np.zeros(2))
    (tmp_path / "dead.nii.gz").symlink_to(tmp_path / "nowhere")
    (tmp_path / "annex.nii.gz").symlink_to(".git/annex/objects/aa/bb/key")
    (tmp_path / "unlocked.png").write_text("/annex/objects/SHA256E-s9--0.png\n")
    (tmp_path / "IM0001").write_text("version https://git-lfs.github.com/spec/v1\n")
    (tmp_path / "lfs.tsv").write_text("version https://git-lfs.github.com/spec/v1\n")
    cases, skips = discover(tmp_path)
    assert [case.output.as_posix() for case in cases] == [
        "denoised_c.png",
        "denoised_named_like_a_volume.nii",
        "sub-01/deep/a.nii",
        "sub-02/b.nii.gz",
        "without_ending",
        "x.nii",
    ]
    assert {skip.source.name: skip.reason.split(",")[0].split(";")[0] for skip in skips} == {
        "cut.nii.gz": "truncated",
        "dead.nii.gz": "broken link",
        "empty.nii": "empty file",
        "raw.npz": "not an image format that is read (NIfTI",
        **dict.fromkeys(("annex.nii.gz", "unlocked.png", "IM0001"), "its content is not here (git-annex or Git LFS)"),
        "text.nii.gz": "named like an image",
    }
    assert discover(tmp_path) == (cases, skips)


def test_bids_leaves_derived_and_source_data(tmp_path: Path) -> None:
    for folder in ("sub-01/anat", "derivatives/x", "sourcedata", "sub-01/derivatives"):
        volume(tmp_path / folder / "a.nii")
    assert len(outputs(tmp_path)) == 4
    (tmp_path / "dataset_description.json").write_text("{}")
    assert outputs(tmp_path) == ["sub-01/anat/a.nii", "sub-01/derivatives/a.nii"]


BIDS_LEFT = {
    "sub-01_desc-brain_mask.nii.gz": "labels",
    "aparc_dseg.nii": "labels",
    "sub-01_phasediff.nii": "phase",
    "sub-01_T1map.nii.gz": "map",
    "sub-01_echo-1_part-phase_bold.nii": "part-phase",
    **{
        f"sub-01_{map_}.nii.gz": "map" for map_ in ("ADC", "expADC", "FA", "colFA", "trace", "dwimap", "statmap", "cbf")
    },
    "sub-01_pet.nii.gz": "PET",
    "sub-01_CT.nii.gz": "CT",
    "sub-01_svs.nii.gz": "spectroscopy",
}
BIDS_TAKEN = [
    "mask.nii",
    "sub-01_T1w.nii",
    "sub-01_magnitude1.nii",
    "sub-01_part-mag_bold.nii",
    "sub-mask_T2w.nii",
    "FA.nii",
]


def test_bids_names_tell_what_is_no_magnitude_image(tmp_path: Path) -> None:
    for name in (*BIDS_LEFT, *BIDS_TAKEN):
        volume(tmp_path / name)
    volume(tmp_path / "old_mask.hdr", nib.Spm2AnalyzeImage)
    cases, skips = discover(tmp_path)
    assert {case.label for case in cases} == set(BIDS_TAKEN)
    reasons = {skip.source.name: skip.reason for skip in skips}
    assert set(reasons) == {*BIDS_LEFT, "old_mask.hdr"}
    assert all(word in reasons[name] for name, word in BIDS_LEFT.items())
    assert not any(skip.damaged for skip in skips)
    assert len(discover(tmp_path, force=True)[0]) == len(BIDS_LEFT) + len(BIDS_TAKEN) + 1
    for name in (*BIDS_LEFT, "old_mask.img"):  # what the user names is taken
        assert len(discover(tmp_path / name)[0]) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_the_json_file_of_a_converter_tells_what_is_no_magnitude_image(tmp_path: Path) -> None:
    """dcm2niix copies the Image Type of DICOM."""
    for name, types, kind in (
        ("gre_e1", '["ORIGINAL", "PRIMARY", "M", "ND"]', ""),
        ("gre_e1_ph", '["ORIGINAL", "PRIMARY", "P", "ND", "PHASE"]', "phase image (Image Type P)"),
        ("real", '["ORIGINAL", "PRIMARY", "real", "FFE"]', "real image"),
        ("adc", '["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]', "diffusion map"),
        ("broken", '["ORIGINAL"', ""),
        ("odd", '{"a": [1, null]}', ""),
        ("none", "null", ""),
    ):
        path = volume(tmp_path / f"{name}.nii.gz")
        (tmp_path / f"{name}.json").write_text(f'{{"EchoTime": 0.005, "ImageType": {types}}}')
        found, skips = discover(tmp_path)
        left = [skip.reason for skip in skips if skip.source == path]
        assert len(left) == bool(kind) and all(kind in reason and f"{name}.json" in reason for reason in left)
        assert len(discover(path)[0]) == 1  # the user named it
    assert [case.label for case in found] == ["broken.nii.gz", "gre_e1.nii.gz", "none.nii.gz", "odd.nii.gz"]
    assert len(discover(tmp_path, force=True)[0]) == 7


def test_links_are_followed_once(tmp_path: Path) -> None:
    volume(tmp_path / "elsewhere" / "a.nii")
    root = tmp_path / "root"
    volume(root / "sub" / "b.nii")
    (root / "sub" / "loop").symlink_to(root)
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    assert outputs(root) == ["linked/a.nii", "sub/b.nii"]


def test_dicom_is_found_by_content(tmp_path: Path) -> None:
    small = Path(pydicom.data.get_testdata_file("MR_small.dcm"))
    (tmp_path / "sub").mkdir()
    shutil.copy(small, tmp_path / "sub" / "IM0001")
    volume(tmp_path / "a.nii")
    cases, skips = discover(tmp_path)
    assert sorted(case.kind for case in cases) == ["dicom", "nifti"] and not skips
    # a data set without preamble and file meta information, as old archives hold
    bare = pydicom.dcmread(small)
    bare.save_as(tmp_path / "sub" / "IM0001", implicit_vr=False, little_endian=True, force_encoding=True)
    dataset = (tmp_path / "sub" / "IM0001").read_bytes()
    start = dataset.index(b"\x08\x00\x05\x00") if b"\x08\x00\x05\x00" in dataset else dataset.index(b"\x08\x00\x08\x00")
    (tmp_path / "sub" / "IM0001").write_bytes(dataset[start:])
    (case,), _ = discover(tmp_path / "sub")
    assert case.kind == "dicom"
    with pytest.raises(InputError):
        (tmp_path / "text.dcm").write_text("no DICOM")
        discover(tmp_path / "text.dcm")


def test_outputs_that_differ_only_in_case(tmp_path: Path) -> None:
    volume(tmp_path / "a.nii")
    volume(tmp_path / "A.nii")
    if len(list(tmp_path.iterdir())) == 1:
        pytest.skip("this file system ignores case")
    cases, skips = discover(tmp_path)
    assert [case.label for case in cases] == ["A.nii"]
    assert "would overwrite" in skips[0].reason and skips[0].source.name == "a.nii"
    assert skips[0].damaged, "an image that is left out against the user's wish has failed"


def test_nothing_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no image found"):
        discover(tmp_path)
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(InputError, match="no image found"):
        discover(tmp_path)
    with pytest.raises(InputError, match="not an image format"):
        discover(tmp_path / "a.txt")
    with pytest.raises(InputError, match="no such file"):
        discover(tmp_path / "none")
    with pytest.raises(InputError, match="neither a file nor a folder"):
        discover(Path(os.devnull))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    volume(tmp_path / "a.nii").chmod(0)
    volume(tmp_path / "locked" / "b.nii").parent.chmod(0)
    cases, skips = discover(tmp_path)
    (tmp_path / "locked").chmod(0o700)
    assert not cases and [skip.source.name for skip in skips] == ["a.nii", "locked"]
    assert "no permission" in skips[0].reason and "cannot be opened" in skips[1].reason
    with pytest.raises(InputError, match="no permission"):
        discover(tmp_path / "a.nii")


def test_import_is_light() -> None:
    heavy = "{'torch', 'numpy', 'SimpleITK', 'pydicom', 'nibabel', 'PIL', 'monai', 'scipy'}"
    code = f"import sys, mri_denoise.io; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
