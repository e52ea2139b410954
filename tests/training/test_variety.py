"""Objects that are made of others stay objects: air dark, edges where they were, sizes as documented."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from mri_denoise.noise.simulate import add_rician
from mri_denoise.training.anatomy import SLICES, clean_slices
from mri_denoise.training.sources import Source
from mri_denoise.training.variety import even, finer, joined, recoloured, turned
from tests.phantoms import head

SHAPE = (72, 80, 8)
SEEDS = range(12)


def choices(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_another_contrast_is_one_value_for_another(seed: int) -> None:
    image = 900 * head(SHAPE)
    found = recoloured(image, choices(seed))
    assert found.dtype == np.float32
    assert (found[image == 0] == 0).all()
    order = np.argsort(image, axis=None)
    values, results = image.flat[order], found.flat[order]
    close = np.diff(values) < 1e-3
    assert np.abs(np.diff(results)[close]).max() < 0.5  # what was alike is alike
    assert 0.5 < np.percentile(found, 99.9) / np.percentile(image, 99.9) < 1.5


def test_noise_that_is_left_in_an_object_is_much_weaker_than_what_it_gets(tmp_path: Path) -> None:
    path = tmp_path / "noisy.nii"
    noisy = add_rician(1000 * head((96, 104, 16)), 40, choices(0))
    nib.save(nib.Nifti1Image(noisy, np.diag([2, 2, 4, 1])), path)
    families = [[Source(original=path, reference=None)]]
    for seed in SEEDS:
        weak, strong = (clean_slices(families, level, choices(seed), SLICES)[0] for level in (0.01, 0.2))
        assert strong.voxel[2] == 4  # the volume; a phantom otherwise
        assert (weak.array == 0).mean() > 0.2  # a phantom: there is noise everywhere in the volume


def test_contrasts_differ_and_some_are_reversed() -> None:
    image = head(SHAPE)
    tissue = image > 0.2
    along = [np.corrcoef(image[tissue], recoloured(image, choices(seed))[tissue])[0, 1] for seed in range(40)]
    assert min(along) < 0 < max(along)


@pytest.mark.parametrize("seed", SEEDS)
def test_turning_keeps_size_and_signal(seed: int) -> None:
    image = head((96, 96, 8))
    found = turned(image, choices(seed))
    assert found.shape == image.shape
    assert found.min() == 0
    assert 0.5 < found.sum() / image.sum() < 2
    assert 0.9 < np.percentile(found[found > 0.1], 90) / np.percentile(image[image > 0.1], 90) < 1.1


@pytest.mark.parametrize("seed", SEEDS)
def test_a_finer_grid_holds_no_more_detail(seed: int) -> None:
    image = head(SHAPE)
    found = finer(image, choices(seed))
    factor = np.array(found.shape[:2]) / image.shape[:2]
    assert (factor > 1).all()
    assert (factor < 1.9).all()
    spectrum = np.abs(np.fft.fft2(found[..., 4]))
    beyond = np.abs(np.fft.fftfreq(found.shape[0])) > 0.52 / factor[0]
    assert spectrum[beyond].max() < 0.02 * np.sort(spectrum, axis=None)[-10:].mean()
    assert found.mean() == pytest.approx(image.mean(), rel=0.05)


def test_a_grid_that_is_fine_enough_stays() -> None:
    image = np.zeros((330, 320, 2), dtype=np.float32)
    assert finer(image, choices(0)) is image


@pytest.mark.parametrize("seed", SEEDS)
def test_two_objects_become_one(seed: int) -> None:
    first, second = 100 * head(SHAPE), 7 * head((90, 64, 9), "T2w")
    found = joined(first, second, choices(seed))
    assert found.shape == (72, 64, 8)
    assert found.min() >= 0
    assert found.max() == pytest.approx(first.max(), rel=0.5)
    assert joined(first, second[:40], choices(seed)) is first  # too little in common


@pytest.mark.parametrize(("seed", "slices"), [(35, 1), (60, 6)])
def test_even_tissue_is_there_however_smooth_its_course_is(seed: int, slices: int) -> None:
    found = even(choices(seed), slices)  # the mean of a course as wide as the slice was all there was: 0 everywhere
    assert found.max() == 1 and np.mean(found > 0.05) > 0.15


@pytest.mark.parametrize("seed", SEEDS)
def test_even_tissue_has_no_texture(seed: int) -> None:
    found = even(choices(seed), 6)
    assert found.shape[2] == 6 and found.min() >= 0 and found.max() == 1
    inside = ndimage.binary_erosion(found > 0.05, np.ones((3, 3, 1)), iterations=8)
    steps = np.abs(np.diff(found, axis=0))[inside[1:] & inside[:-1]]
    assert steps.size and steps.max() < 0.1
