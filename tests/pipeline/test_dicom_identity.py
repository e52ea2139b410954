"""DICOM results have the same pixels and identifiers whatever the number of threads, jobs and runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.misc import is_dicom

from tests.commands import cli
from tests.io.dicom.phantom import Phantom, save, series, set_stored
from tests.phantoms import head
from tests.threads import pytorch_threads

ROOT = Path(__file__).parents[2]
MOMENT = ("ContentDate", "ContentTime", "ContributingEquipmentSequence")  # tell when it was made


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two series in one folder, of the same pixels but for the noise."""
    folder = tmp_path_factory.mktemp("study")
    clean = 900 * head((48, 40, 8))
    for number in (5, 6):
        made = series(Phantom(slices=8, uid=f"series{number}"), SeriesNumber=number)
        rng = np.random.default_rng(number)
        for k, ds in enumerate(made):
            pixels = np.hypot(clean[..., k] + rng.normal(0, 30, (48, 40)), rng.normal(0, 30, (48, 40)))
            set_stored(ds, np.rint(pixels).astype(int))
        save(made, folder)
    return folder


def results(folder: Path) -> dict[str, str]:
    """All that the derived files hold but for the moment, by path."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and is_dicom(path):
            ds = pydicom.dcmread(path)
            assert np.ptp(ds.pixel_array) > 0
            for keyword in MOMENT:
                if keyword in ds:
                    del ds[keyword]
            found[str(path.relative_to(folder))] = ds.to_json()
    return found


def denoise(study: Path, out: Path, threads: int) -> dict[str, str]:
    with pytorch_threads(threads):
        cli("denoise", study, out, "--quality", "fast", "--device", "cpu")
    return results(out)


def test_threads_and_runs_do_not_matter(study: Path, tmp_path: Path) -> None:
    found = [denoise(study, tmp_path / str(run), threads) for run, threads in enumerate((1, 2, 4))]
    assert found[1] == found[0] and found[2] == found[0]
    made = [pydicom.Dataset.from_json(text) for text in found[0].values()]
    assert len({ds.SOPInstanceUID for ds in made}) == 16
    assert len({ds.SeriesInstanceUID for ds in made}) == 2


@pytest.mark.slow
def test_nor_do_jobs(study: Path, tmp_path: Path) -> None:
    words = ["denoise", str(study), str(tmp_path / "jobs"), "--quality", "fast", "--jobs", "2", "--device", "cpu"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "2"}
    words = [sys.executable, "-m", "mri_denoise.cli.main", *words]
    subprocess.run(words, env=environment, check=True, capture_output=True)
    assert results(tmp_path / "jobs") == denoise(study, tmp_path / "one", 1)
