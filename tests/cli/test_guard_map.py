"""``denoise --guard-map``: where the guard gave something back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from mri_denoise.noise.simulate import add_rician
from mri_denoise.simulation import phantom_affine
from tests.commands import cli
from tests.phantoms import head

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
    for option in ("--guard-map", "--no-guard"):
        said = cli("denoise", scan, tmp_path / "b.nii", option, "--model", "salt-pepper", code=2).stderr
        assert "has no guard" in said


def denoised(source: Path, *options: object) -> tuple[np.ndarray, dict[str, Any], str]:
    """The result, the record and the output of a run."""
    done = cli("denoise", source, source.parent / "o.nii", "--quality", "fast", "--overwrite", *options)
    record = json.loads((source.parent / "o.mri-denoise.json").read_text())
    return values(source.parent / "o.nii"), record, done.output


@pytest.fixture
def phantom(tmp_path: Path) -> Path:
    noisy = add_rician(1000 * head(SHAPE), 30.0, np.random.default_rng(0))
    nib.save(nib.Nifti1Image(noisy, phantom_affine(SHAPE)), tmp_path / "head.nii")
    return tmp_path / "head.nii"


def test_voxels_that_are_counted_are_those_that_differ_also_where_the_level_is_far_too_high(phantom: Path) -> None:
    for level in (60, 300):
        with_guard, record, said = denoised(phantom, "--sigma", level)
        without, _, _ = denoised(phantom, "--sigma", level, "--no-guard")
        differ = int((with_guard != without).sum())
        assert record["returned"] == [differ] and f", {differ} voxels given back" in said


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("level", [1500, 1e9])
def test_nothing_comes_back_to_an_image_that_vanishes_and_it_is_said(phantom: Path, level: float, masked: bool) -> None:
    if masked:
        image = nib.load(phantom)
        inside = np.asarray(image.dataobj) * (head(SHAPE) > 0.02)
        nib.save(nib.Nifti1Image(inside, image.affine), phantom)
    after, record, said = denoised(phantom, "--sigma", level, "--report")
    assert np.median(after[values(phantom) > 0]) < 50
    assert record["cautions"] == ["strong noise", "hardly any image left"] and record["returned"] == [0]
    assert "(caution: strong noise, hardly any image left)" in said and "given back" not in said
    assert "the noise level is too high for this image" in (phantom.parent / "o_report.html").read_text()


def test_nothing_comes_back_at_strength_0(scan: Path) -> None:
    _, record, said = denoised(scan, "--sigma", 30, "--strength", 0, "--guard-map")
    assert record["returned"] == [0] and "(strength 0: left as it was)" in said and "given back" not in said
    assert not values(scan.parent / "o_guard.nii.gz").any()
