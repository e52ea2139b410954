"""Clean objects on coarser grids, which the refining network learns from."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mri_denoise.simulation import head_phantom
from mri_denoise.training.coarse import coarse_anatomy
from mri_denoise.training.sources import Source

SHAPE = (96, 112, 96)


def _families(folder: Path, voxel: tuple[float, float, float], noise: float = 0.0) -> list[list[Source]]:
    path = folder / f"volume_{noise:g}.nii.gz"  # what was read is kept by its path
    rng = np.random.default_rng(0)
    head = 900 * head_phantom(SHAPE)
    nib.save(nib.Nifti1Image(np.abs(head + rng.normal(0, noise, SHAPE)).astype(np.float32), np.diag([*voxel, 1])), path)
    return [[Source(original=path, reference=path)]]


@pytest.mark.parametrize(("voxel", "thick"), [((1.0, 1.0, 1.0), False), ((1.0, 1.0, 4.0), True)])
def test_only_fine_axes_become_coarser(tmp_path: Path, voxel: tuple[float, float, float], thick: bool) -> None:
    families = _families(tmp_path, voxel)
    found = [coarse_anatomy(families, np.random.default_rng(seed), 40, 24) for seed in range(12)]
    for anatomy in found:
        edges = np.array(anatomy.voxel)
        assert anatomy.array.min() >= 0 and anatomy.array.dtype == np.float32
        if edges.tolist() == [1.0, 1.0, 1.0]:  # a phantom of its own
            continue
        assert 1.2 <= edges[0] == edges[1] <= 2.2
        assert edges[2] == (voxel[2] if thick else edges[0])
        assert anatomy.array.shape[2] <= (12 if thick else 24)
    assert len({anatomy.voxel for anatomy in found}) > 6


def test_little_noise_is_left(tmp_path: Path) -> None:
    noisy = [
        coarse_anatomy(_families(tmp_path, (1.0, 1.0, 1.0), level), np.random.default_rng(5), 40, 24).array
        for level in (0.0, 20.0)
    ]
    inside = noisy[0] > 300
    assert 0 < (noisy[1] - noisy[0])[inside].std() < 0.6 * 20


def test_an_object_is_the_same_for_a_seed(tmp_path: Path) -> None:
    families = _families(tmp_path, (1.0, 1.0, 1.0))
    first, again = (coarse_anatomy(families, np.random.default_rng(3), 40, 24) for _ in range(2))
    assert np.array_equal(first.array, again.array) and first.voxel == again.voxel


def test_without_volumes_there_are_phantoms() -> None:
    anatomy = coarse_anatomy([], np.random.default_rng(0), 112, 24)
    assert anatomy.array.shape[2] == 24 and anatomy.array.max() > 0
