"""``mri-denoise benchmark scans``: what is removed from a scan as it comes."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mri_denoise.noise.simulate import add_rician
from mri_denoise.simulation import phantom_affine
from tests.commands import cli
from tests.phantoms import head

SHAPE = (72, 88, 10)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    noisy = add_rician(1000 * head(SHAPE), 60, np.random.default_rng(0))
    nib.save(nib.Nifti1Image(noisy, phantom_affine(SHAPE)), folder / "scan.nii.gz")
    said = cli("benchmark", "scans", folder / "scan.nii.gz", "--output", folder / "out", "--slices", 6).stdout
    (folder / "said.md").write_text(said)
    return folder


def test_noise_is_removed_as_simulated_noise_is(folder: Path) -> None:
    [scan] = json.loads((folder / "out" / "record.json").read_text())["scans"]
    assert scan["level"] == pytest.approx(60, rel=0.1)
    removed, simulated = scan["removed"], scan["simulated"]
    assert 0.8 < removed["flat"] < 1.05
    assert removed["flat"] == pytest.approx(simulated["flat"], rel=0.15)
    assert scan["air"] == pytest.approx(removed["air"], abs=0.15)
    assert abs(removed["edges"] - simulated["edges"]) < 0.1
    assert scan["lost"] > -0.05


def test_there_is_a_table_and_a_picture(folder: Path) -> None:
    said = (folder / "said.md").read_text()
    assert said.startswith("| scan |") and said == (folder / "out" / "scans.md").read_text()
    assert (folder / "out" / "scans.png").read_bytes().startswith(b"\x89PNG")
