"""Control characters of headers and file names reach neither a terminal nor a page."""

from __future__ import annotations

import subprocess
import sys
import unicodedata
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mri_denoise.simulation import phantom_affine
from tests.commands import ROOT, cli, make_bundle
from tests.io.dicom.phantom import Phantom, save, series
from tests.phantoms import head

SHAPE = (32, 36, 8)
# colours, the title of a window, backspaces, a bell, C1 codes, text that runs backwards
EVIL = "\x1b[31mT1\x1b]0;owned\x07\b\b\x9b2J\u202eten"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle("hmad_rician", tmp_path_factory.mktemp("bundle") / "tiny")


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Good and damaged files whose names and headers steer a terminal."""
    folder = tmp_path / f"scans{EVIL}"
    folder.mkdir()
    image = nib.Nifti1Image((1000 * head(SHAPE)).astype(np.float32) + 5, phantom_affine(SHAPE))
    for field, room in (("descrip", 79), ("intent_name", 15), ("aux_file", 23), ("db_name", 17)):
        image.header[field] = EVIL.encode("utf-8")[:room]
    nib.save(image, folder / f"head{EVIL}.nii.gz")
    (folder / f"bad{EVIL}.nii").write_bytes(b"no image" + EVIL.encode())
    steered = {name: EVIL.replace("\u202e", "") for name in ("SeriesDescription", "ProtocolName", "StudyDescription")}
    identity = {
        "PatientName": f"A{EVIL}^B",
        "PatientID": EVIL,
        "StationName": "\x1b[2J",
        "Manufacturer": "\x1b]0;x\x07",
    }
    data = series(Phantom(rows=32, columns=32), SpecificCharacterSet="ISO_IR 192", **steered, **identity)
    save(data, folder / "dicom")
    save(series(Phantom(slices=1, uid="other"), Modality="O\x1bT", SeriesDescription=EVIL), folder / "other")
    return folder


def steering(text: str) -> set[str]:
    """The characters of a text that steer a terminal or the direction of writing."""
    return {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs") and c not in "\n\t"}


def test_no_command_hands_them_to_the_terminal(scans: Path, bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    model = ("--model", bundle, "--device", "cpu")
    said = cli("denoise", scans, out, *model, "--report", "--figure", code=1)
    assert "2 denoised" in said.stdout and "failed" in said.stderr
    assert steering(said.stdout) == steering(said.stderr) == set()
    again = cli("denoise", scans, out, *model, code=1)
    for result in (again, cli("dicom", scans, code=1), cli("noise", scans, code=1), cli("report", out)):
        assert steering(result.stdout) == steering(result.stderr) == set()
    for command in (("denoise", scans / EVIL, out), ("noise", scans / EVIL), ("report", scans / EVIL)):
        missing = cli(*command, code=2)
        assert steering(missing.output) == set() and EVIL not in missing.output


def test_nor_do_warnings_of_libraries(scans: Path) -> None:
    """In a process of its own, where warnings and logs reach the terminal."""
    command = [sys.executable, "-m", "mri_denoise.cli.main", "dicom", scans]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", cwd=ROOT)
    assert done.returncode == 1 and "would be denoised" in done.stdout
    assert steering(done.stdout) == steering(done.stderr) == set()


def test_no_page_and_no_record_holds_them(scans: Path, bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    cli("denoise", scans, out, "--model", bundle, "--device", "cpu", "--report", code=1)
    written = [path for pattern in ("*.html", "*.json") for path in out.rglob(pattern)]
    assert len(written) >= 5
    for path in written:
        assert steering(path.read_text(encoding="utf-8")) == set(), path.name
