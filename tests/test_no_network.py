"""Nothing leaves the computer: the main paths run where every connection and name look-up is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from mri_denoise.simulation import phantom_affine
from tests.io.dicom.phantom import Phantom, save, series
from tests.phantoms import head

SHAPE = (32, 36, 8)
ROOT = Path(__file__).parents[1]
# Python runs it before anything else, in every child process, too; an audit hook cannot be taken away again
REFUSE = """
import sys

def refuse(event, arguments):
    internet = 2, 10, 23, 30  # AF_INET and AF_INET6 of the systems
    local = event == "socket.__new__" and arguments[1] not in internet
    if event.startswith("socket.") and not local and event not in ("socket.gethostname", "socket.bind"):
        raise PermissionError(f"network refused: {event}")

sys.addaudithook(refuse)
"""


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment without a network for Python and its children."""
    folder = tmp_path_factory.mktemp("sealed")
    (folder / "sitecustomize.py").write_text(REFUSE)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}


def run(environment: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, *(str(a) for a in arguments)]
    return subprocess.run(words, capture_output=True, text=True, env=environment, cwd=ROOT)


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.create_connection(('127.0.0.1', 9), 1)",
        "import socket; socket.getaddrinfo('example.org', 80)",
        "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
        "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9/', timeout=1)",
    ],
)
def test_the_seal_holds(sealed: dict[str, str], code: str) -> None:
    done = run(sealed, "-c", code)
    assert done.returncode == 1 and "network refused" in done.stderr


def test_denoising_and_its_report_need_no_network(sealed: dict[str, str], tmp_path: Path) -> None:
    """NIfTI, DICOM and a picture in one folder, with every extra and the report."""
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    noisy = (1000 * head(SHAPE) + np.random.default_rng(0).rayleigh(20, SHAPE)).astype(np.float32)
    nib.save(nib.Nifti1Image(noisy, phantom_affine(SHAPE)), source / "head.nii.gz")
    save(series(Phantom(rows=32, columns=32)), source / "dicom")
    Image.fromarray((noisy[..., 4] / 5).clip(0, 255).astype(np.uint8)).save(source / "slice.png")
    options = ("--residual", "--noise-map", "--figure", "--report", "--device", "cpu")
    done = run(sealed, "-m", "mri_denoise.cli.main", "denoise", source, output, *options)
    assert done.returncode == 0, done.stderr
    assert "3 denoised" in done.stdout and "network" not in done.stderr
    names = {path.name for path in output.rglob("*") if path.is_file()}
    assert {"head.nii.gz", "denoised_slice.png", "mri-denoise-report.html"} <= names
    assert len([path for path in (output / "dicom").rglob("*") if path.is_file()]) >= 4
