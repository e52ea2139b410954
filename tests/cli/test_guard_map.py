"""``denoise --guard-map``: where the guard gave something back."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mri_denoise.noise.simulate import add_rician
from mri_denoise.simulation import phantom_affine
from tests.commands import cli

SHAPE, SPIKE = (48, 48, 12), (24, 20, 6)


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """Even tissue with one voxel of 12 sigma, which a denoiser takes for noise in part."""
    clean = np.full(SHAPE, 600, np.float32)
    clean[SPIKE] += 12 * 30
    noisy = add_rician(clean, 30.0, np.random.default_rng(0))
    nib.save(nib.Nifti1Image(noisy, phantom_affine(SHAPE)), tmp_path / "a.nii")
    return tmp_path / "a.nii"


def values(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)


def test_the_map_shows_the_voxels_that_are_counted_and_that_differ(tmp_path: Path, scan: Path) -> None:
    options = ("--quality", "fast", "--sigma", 30)
    [record] = json.loads(cli("denoise", scan, tmp_path / "b.nii", *options, "--guard-map", "--json").stdout)["done"]
    shown = values(tmp_path / "b_guard.nii.gz")
    assert record["companions"] == [str(tmp_path / "b_guard.nii.gz")]
    assert shown[SPIKE] == 1 and set(np.unique(shown)) == {0, 1} and shown.sum() == record["returned"][0] < 200
    cli("denoise", scan, tmp_path / "c.nii", *options, "--no-guard")
    np.testing.assert_array_equal(values(tmp_path / "b.nii") != values(tmp_path / "c.nii"), shown == 1)


def test_of_mirror_images_it_is_the_share(tmp_path: Path, scan: Path) -> None:
    cli("denoise", scan, tmp_path / "b.nii", "--quality", "fast", "--sigma", 30, "--guard-map", "--tta")
    shown = values(tmp_path / "b_guard.nii.gz")
    assert shown[SPIKE] == 1 and set(np.unique(4 * shown)) <= set(range(5))


def test_without_a_guard_there_is_no_map(tmp_path: Path, scan: Path) -> None:
    said = cli("denoise", scan, tmp_path / "b.nii", "--guard-map", "--no-guard", code=2).stderr
    assert "guard-map: needs the guard" in said
    said = cli("denoise", scan, tmp_path / "b.nii", "--guard-map", "--model", "salt-pepper", code=2).stderr
    assert "has no guard" in said
