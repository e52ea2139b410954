"""The average over mirror images: which there are, the mean and its spread, and the same bits for a mirrored image."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from mri_denoise.denoiser import Denoiser
from mri_denoise.inference.flips import average, axes_to_flip, mirror_images
from mri_denoise.noise.simulate import add_rician
from mri_denoise.settings import Settings, Sigma
from mri_denoise.volume import Volume
from tests.phantoms import head

FLIPS = [axes for count in range(4) for axes in combinations((1, 2, 3), count)]


@pytest.mark.parametrize("shape", [(1, 5, 4, 3), (2, 6, 6, 1), (3, 4, 1, 5)])
def test_all_mirror_images_are_turned_to_the_same(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    for image in (rng.random(shape), rng.integers(0, 2, shape), np.zeros(shape)):
        turned = [image[:].copy() for _ in FLIPS]
        for number, axes in enumerate(FLIPS):
            mirrored = torch.from_numpy(np.flip(image, axes).astype(np.float32))
            turned[number] = mirrored.flip(axes_to_flip(mirrored)).numpy()
        assert all(np.array_equal(one, turned[0]) for one in turned)


def test_mirror_images_are_a_group() -> None:
    """What any two of them do one after another is one of them, so that the average has their symmetry."""
    for shape, together in (((1, 8, 8, 8), True), ((1, 8, 8, 8), False), ((1, 8, 8, 1), True)):
        images = mirror_images(shape, 2, contiguous=together)
        assert images[0] == () and len(images) == 4
        assert all(tuple(sorted(set(a) ^ set(b))) in images for a in images for b in images)
    assert not any(3 in axes for axes in mirror_images((1, 8, 8, 8), 2, contiguous=False))


def test_mean_and_spread_are_numpys() -> None:
    rng = np.random.default_rng(0)
    ramp = torch.from_numpy(rng.random((2, 6, 5, 4), dtype=np.float32))

    def shade(item: dict) -> dict:
        """A denoiser that is not symmetric at all."""
        return {**item, "pred": MetaTensor(item["image"] * ramp), "returned": torch.tensor([1, 2])}

    image = torch.from_numpy(1000 * rng.random((2, 6, 5, 4), dtype=np.float32))
    axes = mirror_images(image.shape, 2, contiguous=True)
    found = average({"image": image, "raw": image}, axes, shade)
    results = np.stack([np.flip((image.flip(a) if a else image).numpy() * ramp.numpy(), a) for a in axes])
    np.testing.assert_allclose(found["pred"].numpy(), results.mean(0, dtype=np.float64), rtol=1e-7)
    np.testing.assert_allclose(found["uncertainty"].numpy(), results.std(0, dtype=np.float64), rtol=1e-5, atol=1e-5)
    assert found["returned"].tolist() == [1, 2]


@pytest.fixture(scope="module")
def rician() -> Denoiser:
    return Denoiser.load("rician", device="cpu")


def test_a_mirrored_image_gives_the_mirrored_result_bit_for_bit(rician: Denoiser) -> None:
    shape = (36, 34, 8)
    series = (700 * head(shape)[None]).astype(np.float32)
    noisy = add_rician(series, 30.0, np.random.default_rng(0))
    noisy[:, :5] = 0  # masked air
    noisy[0, 20, 20, 4] = np.nan
    affine = np.diag([1.0, 1.0, 3.0, 1.0])
    settings = Settings(quality="fast", tta=True)

    def run(axes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        volume = Volume(array=np.flip(noisy, axes), affine=affine)
        found = rician.finish(rician.measure(volume, settings))
        assert found.uncertainty is not None and found.settings["tta"] is True
        return found.volume.array, found.uncertainty

    result, spread = run(())
    mirrored, its_spread = run((1, 3))
    np.testing.assert_array_equal(np.flip(mirrored, (1, 3)), result)
    np.testing.assert_array_equal(np.flip(its_spread, (1, 3)), spread)
    assert spread.max() > 0 and spread.min() == 0 and not spread[:, :4].any()


def test_a_map_of_the_noise_keeps_its_place(rician: Denoiser, tmp_path: Path) -> None:
    shape = (24, 24, 8)
    noisy = add_rician((700 * head(shape)).astype(np.float32), 30.0, np.random.default_rng(0))
    level = np.linspace(10, 60, noisy.size, dtype=np.float32).reshape(shape)
    affine = np.diag([1.0, 1.0, 3.0, 1.0])
    found = []
    for number, axes in enumerate(((), (0,))):
        path = tmp_path / f"sigma{number}.nii"
        nib.save(nib.Nifti1Image(np.flip(level, axes), affine), path)
        volume = Volume(array=np.flip(noisy, axes)[None], affine=affine)
        result = rician.finish(rician.measure(volume, Settings(quality="fast", tta=True, sigma=Sigma.parse(path))))
        assert result.sigma is not None
        np.testing.assert_array_equal(np.flip(result.sigma[0], axes), level)
        found.append(np.flip(result.volume.array[0], axes))
    np.testing.assert_array_equal(*found)
