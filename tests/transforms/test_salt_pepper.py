"""Pixels that no impulse has hit are restored, unless the impulses are not exact."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy.ndimage import gaussian_filter

from mri_denoise.noise.simulate import add_salt_pepper
from mri_denoise.transforms import RestoreUncorruptedd
from mri_denoise.transforms.salt_pepper import restore_uncorrupted


@pytest.fixture
def images() -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:40, :50]
    clean = (120 + 60 * np.sin(x / 7) * np.cos(y / 9)).round()
    return clean, add_salt_pepper(clean, 0.2, np.random.default_rng(0), salt=255.0)


def test_only_black_and_white_pixels_are_replaced(images: tuple[np.ndarray, np.ndarray]) -> None:
    clean, noisy = images
    result = clean + 3
    kept = restore_uncorrupted(torch.from_numpy(result), torch.from_numpy(noisy), 255.0).numpy()
    hit = (noisy == 0) | (noisy == 255)
    assert 0.15 < hit.mean() < 0.25
    np.testing.assert_array_equal(kept, np.where(hit, result, clean))


def test_without_a_white_level_the_extremes_of_the_image_count(images: tuple[np.ndarray, np.ndarray]) -> None:
    clean, noisy = images
    kept = restore_uncorrupted(torch.from_numpy(clean + 3) * 7 - 50, torch.from_numpy(noisy) * 7 - 50).numpy()
    hit = (noisy == 0) | (noisy == 255)
    np.testing.assert_array_equal(kept, np.where(hit, clean + 3, clean) * 7 - 50)


def test_smeared_impulses_are_left_to_the_network(images: tuple[np.ndarray, np.ndarray]) -> None:
    clean, noisy = images
    smeared = torch.from_numpy(gaussian_filter(noisy, 0.5))
    result = torch.from_numpy(clean)
    assert restore_uncorrupted(result, smeared, 255.0) is result


def test_an_image_without_impulses_comes_back_as_it_was() -> None:
    clean = torch.rand(20, 20) * 200 + 1
    assert restore_uncorrupted(clean + 1, clean, 255.0).equal(clean)


def test_edges_that_are_taken_for_impulses_are_put_back() -> None:
    clean = torch.rand(60, 60) * 200 + 1
    result = clean + 1
    result[7, 7:12] += 100  # five of 3600 pixels
    assert restore_uncorrupted(result, clean, 255.0).equal(clean)


def test_each_volume_by_itself_with_its_geometry(images: tuple[np.ndarray, np.ndarray]) -> None:
    clean, noisy = images
    raw = torch.from_numpy(np.stack((noisy, noisy * 10)))[..., None]
    pred = MetaTensor(torch.from_numpy(np.stack((clean, clean * 10)))[..., None] + 2.0, affine=torch.eye(4) * 2)
    out = RestoreUncorruptedd("pred")({"pred": pred, "raw": raw})["pred"]
    hit = (noisy == 0) | (noisy == 255)
    np.testing.assert_array_equal(out[1, ..., 0], np.where(hit, clean * 10 + 2, clean * 10))
    assert isinstance(out, MetaTensor) and torch.equal(out.affine, pred.affine)
