"""On a GPU the shipped models give what they give on a processor. Skipped where there is none, as in CI."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from mri_denoise.denoiser import Denoiser
from mri_denoise.settings import Quality
from mri_denoise.simulation import phantom_affine
from mri_denoise.volume import Volume
from tests.commands import cli
from tests.phantoms import head

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
GPU = "cuda"
SHAPE, SIGMA = (120, 136, 20), 30.0


@pytest.fixture(scope="module")
def noisy() -> np.ndarray:
    """A phantom of 0 to about 1000 with Rician noise of 30."""
    noise = np.random.default_rng(0).normal(0, SIGMA, (2, *SHAPE))
    return np.hypot(1000 * head(SHAPE) + noise[0], noise[1]).astype(np.float32)


def denoise(noisy: np.ndarray, device: str, quality: Quality = "balanced") -> np.ndarray:
    volume = Volume(array=noisy[None], affine=phantom_affine(SHAPE))
    return Denoiser.load("rician", device=device)(volume, sigma=SIGMA, quality=quality).array[0]


@pytest.mark.parametrize("quality", ["fast", "balanced", "best"])
def test_it_is_the_processors_image(noisy: np.ndarray, quality: Quality) -> None:
    """What precision changes is a small part of the noise that is removed."""
    there, here = denoise(noisy, GPU, quality), denoise(noisy, "cpu", quality)
    clean = 1000 * head(SHAPE)
    inside = clean > 100
    error_there, error_here = (float(np.sqrt(np.mean((found - clean)[inside] ** 2))) for found in (there, here))
    assert error_there < 1.01 * error_here < 0.6 * SIGMA
    assert np.std((there - here)[inside]) < 0.1 * SIGMA
    assert np.abs(there - here).max() < SIGMA


def test_it_is_the_same_each_time(noisy: np.ndarray) -> None:
    assert np.array_equal(denoise(noisy, GPU), denoise(noisy, GPU))


def test_the_command_finds_the_same_level_and_says_where_it_ran(noisy: np.ndarray, tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(noisy, phantom_affine(SHAPE)), tmp_path / "scan.nii.gz")
    found = []
    for device in (GPU, "cpu"):
        run = cli("denoise", tmp_path / "scan.nii.gz", tmp_path / device, "--device", device, "--json")
        (done,) = json.loads(run.stdout)["done"]
        found.append(done["sigma"])
        assert done["device"] == device
        assert nib.load(tmp_path / device / "scan.nii.gz").shape == SHAPE
    assert found[0] == found[1]


def test_salt_and_pepper_goes(tmp_path: Path) -> None:
    clean = head(SHAPE)
    struck = np.random.default_rng(1).random(SHAPE)
    array = np.where(struck < 0.05, 0, np.where(struck > 0.95, 1, clean)).astype(np.float32)
    volume = Volume(array=array[None], affine=phantom_affine(SHAPE))
    there, here = (Denoiser.load("salt-pepper", device=device)(volume).array[0] for device in (GPU, "cpu"))
    assert np.sqrt(np.mean((there - clean) ** 2)) < 1.05 * np.sqrt(np.mean((here - clean) ** 2)) < 0.1
