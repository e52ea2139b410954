"""Images that count from another value than 0, and images that hold no magnitudes."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from mri_denoise.noise.cautions import UNSURE
from mri_denoise.noise.model import NoiseModel, find_noise
from mri_denoise.noise.zero_level import find_zero
from tests.phantoms import head

SHAPE = (64, 76, 20)
SIGMA = 50.0


def noisy() -> np.ndarray:
    """A head to 1000 with Rician noise."""
    return _noisy().copy()


@cache
def _noisy() -> np.ndarray:
    rng = np.random.default_rng(0)
    clean = 1000 * head(SHAPE)
    return np.hypot(clean + rng.normal(0, SIGMA, SHAPE), rng.normal(0, SIGMA, SHAPE)).astype(np.float32)


@cache
def usual() -> NoiseModel:
    """The noise of that image where its air is at 0."""
    return find_noise(noisy(), slice_axis=2)


def mp2rage(seed: int = 0) -> np.ndarray:
    """The uniform image of MP2RAGE (Marques et al., 2010, https://doi.org/10.1016/j.neuroimage.2009.10.002)."""
    rng = np.random.default_rng(seed)
    clean = head(SHAPE)

    def measured(signal: np.ndarray) -> np.ndarray:
        return signal + 0.02 * (rng.standard_normal(SHAPE) + 1j * rng.standard_normal(SHAPE))

    first, second = measured(1.2 * clean * (clean - 0.25)), measured(clean)
    uniform: np.ndarray = (np.conj(first) * second).real / (np.abs(first) ** 2 + np.abs(second) ** 2)
    return uniform.astype(np.float32)


@pytest.mark.parametrize("offset", [1024, 150, -1024, -60])
def test_air_at_an_offset_is_found_and_the_noise_is_that_without(offset: float) -> None:
    image, plain = np.rint(noisy() + offset), usual()
    found = find_noise(image, slice_axis=2)
    assert found.zero.value == pytest.approx(offset, abs=0.05 * SIGMA) and not found.zero.signed
    assert found.level == pytest.approx(plain.level, rel=0.02) and found.floor == plain.floor
    assert found.snr == pytest.approx(plain.snr, rel=0.05)


def test_a_negated_image_counts_down() -> None:
    found = find_noise(4095 - noisy(), slice_axis=2)
    assert (found.zero.value, found.zero.sign) == (pytest.approx(4095, abs=0.05 * SIGMA), -1)
    assert found.level == pytest.approx(usual().level, rel=0.02)


def test_z_scores_with_air_are_air_at_an_offset() -> None:
    image = noisy()
    found = find_noise((image - image.mean()) / image.std(), slice_axis=2)
    assert found.level * image.std() == pytest.approx(SIGMA, rel=0.05)
    assert found.variation == 1


@pytest.mark.parametrize("sigma", [20, 50])
def test_z_scores_in_a_mask_hold_no_magnitudes(sigma: float) -> None:
    rng, clean = np.random.default_rng(0), 1000 * head(SHAPE)
    inside = clean > 100
    image = np.hypot(clean + rng.normal(0, sigma, SHAPE), rng.normal(0, sigma, SHAPE))
    spread = image[inside].std()
    score = np.where(inside, (image - image[inside].mean()) / spread, 0).astype(np.float32)
    found = find_noise(score, slice_axis=2)
    # weak noise in the few cells of a small masked head is found a third too low, and the level called uncertain
    plain = find_noise(np.where(inside, image, 0).astype(np.float32), slice_axis=2)
    assert found.level * spread == pytest.approx(plain.level, rel=0.12)
    if sigma == 20:
        assert 0.6 * sigma < found.level * spread < sigma and found.confidence.level < UNSURE
    else:
        assert found.level * spread == pytest.approx(sigma, rel=0.12) and found.variation == 1
    assert found.zero.value < score.min()


def test_masked_air_of_any_value_is_a_mask() -> None:
    stripped = np.where(head(SHAPE) > 0.1, noisy(), 0)
    plain = find_noise(stripped, slice_axis=2)
    for image, value in ((stripped + 1024, 1024), (np.where(stripped > 0, stripped, -1024), 0)):
        found = find_noise(image, slice_axis=2)
        assert found.zero.value == pytest.approx(value, abs=0.2 * SIGMA)
        assert found.level == pytest.approx(plain.level, rel=0.01) and found.floor == plain.floor


def test_few_padded_voxels_hide_no_offset() -> None:
    image = noisy() + 1024
    image[:3, :3] = 0
    zero = find_zero(image)
    assert zero.value == pytest.approx(1024, abs=0.05 * SIGMA) and zero.fill == 0


def test_a_real_part_has_the_same_noise_everywhere_and_no_floor() -> None:
    image = 1000 * head(SHAPE) + np.random.default_rng(0).normal(0, SIGMA, SHAPE)
    found = find_noise(image, slice_axis=2)
    assert (found.floor, found.floor_ratio.tolist()) == ("none", 1) and found.zero.signed
    assert found.level == pytest.approx(SIGMA, rel=0.1)


@pytest.mark.parametrize("scale", [1, 4095])
def test_the_speckle_of_mp2rage_is_no_noise_of_tissue(scale: float) -> None:
    image = mp2rage() if scale == 1 else np.rint((mp2rage() + 0.5) * scale)
    found = find_noise(image, slice_axis=2)
    truth = np.std([mp2rage(seed) for seed in range(6)], axis=0)[head(SHAPE) > 0.3] * scale
    assert found.zero.speckle and np.percentile(truth, 10) < found.level < np.percentile(truth, 75)
    assert found.variation < 3


@pytest.mark.parametrize("kind", ["air", "stripped", "crop", "coarse", "many coils", "no noise"])
def test_images_as_scanners_write_them_count_from_0(kind: str) -> None:
    image = noisy()
    if kind == "stripped":
        image = np.where(head(SHAPE) > 0.1, image, 0)
    elif kind == "crop":
        image = image[24:48, 30:60]
    elif kind == "coarse":
        image = np.rint(image / 40)
    elif kind == "many coils":
        parts = np.random.default_rng(0).normal(0, SIGMA, (16, *SHAPE))
        parts[0] += 1000 * head(SHAPE)
        image = np.sqrt(np.sum(np.square(parts), axis=0))
    elif kind == "no noise":
        image = np.rint(1000 * head(SHAPE))
    assert find_zero(image).usual


def test_labels_hold_no_noise() -> None:
    assert find_noise(np.digitize(head(SHAPE), [0.1, 0.3, 0.6]), slice_axis=2).level == 0
