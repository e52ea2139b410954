"""Transforms that add noise: exact and random, array and dictionary versions, seeded as MONAI seeds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose

from mri_denoise import transforms as T
from mri_denoise.noise import simulate as N

SHAPE = (1, 60, 50, 40)


def image(seed: int = 0, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def test_masked_images_have_no_noise_in_their_background() -> None:
    square = np.zeros((1, 20, 20), dtype=np.float32)
    square[:, 5:15, 5:15] = 0.5
    noisy = np.asarray(T.RicianNoise(0.05, masked=True)(square))
    assert (noisy[square == 0] == 0).all() and (noisy[square > 0] != 0.5).all()
    assert (np.asarray(T.RicianNoise(0.05)(square))[square == 0] > 0).all()
    random = T.RandMagnitudeNoise(sigma=0.05, masked_prob=0.5, coverage=(0.4, 0.6, 0.5)).set_random_state(0)
    outs = [np.asarray(random(square)) for _ in range(60)]
    assert 15 < sum((o[square == 0] == 0).all() for o in outs) < 45
    coverages = []
    for _ in range(60):
        random.randomize(square)
        coverages.append(random.noise.coverage)
    assert {c for c in coverages if c < 1} and all(c == 1 or 0.4 <= c <= 0.6 for c in coverages) and 1.0 in coverages


FIXED = [
    (T.RicianNoise(0.1, seed=3), T.RicianNoised("image", sigma=0.1, seed=3)),
    (T.RicianNoise(0.1, seed=3, coils=4), T.RicianNoised("image", sigma=0.1, seed=3, coils=4)),
    (T.SaltPepperNoise(0.2, 0.7, seed=3), T.SaltPepperNoised("image", density=0.2, salt_fraction=0.7, seed=3)),
]


@pytest.mark.parametrize(("array", "dictionary"), FIXED)
def test_fixed_noise_is_the_same_at_each_call_and_in_each_container(array: object, dictionary: object) -> None:
    v = image()
    first = array(v)
    assert isinstance(first, np.ndarray) and not np.array_equal(first, v)
    np.testing.assert_array_equal(array(v), first)
    np.testing.assert_array_equal(dictionary({"image": v})["image"], first)
    tensor = array(MetaTensor(torch.from_numpy(v), meta={"note": 1}))
    assert isinstance(tensor, MetaTensor) and tensor.meta["note"] == 1
    np.testing.assert_array_equal(tensor.numpy(), first)
    assert not np.array_equal(type(array)(array.__dict__.get("sigma", 0.2), seed=4)(v), first)


def test_an_items_own_level_goes_before_the_default() -> None:
    v = image()
    item = T.RicianNoised("image", sigma=0.5, seed=1)({"image": v, "sigma": 0.02, "g_factor": 2 * np.ones(SHAPE[1:])})
    np.testing.assert_allclose(item["image"], T.RicianNoise(0.04, seed=1)(v), rtol=1e-6)
    assert T.RicianNoised("image", sigma=0.5)({"image": v})["sigma"] == 0.5
    item = T.SaltPepperNoised("image", density=0.9, seed=1)({"image": v, "density": 0.1})
    np.testing.assert_array_equal(item["image"], T.SaltPepperNoise(0.1, seed=1)(v))


def test_the_g_factor_multiplies_sigma() -> None:
    field = N.smooth_field(SHAPE[1:], np.random.default_rng(0), 1, 3)
    noisy = T.RicianNoise(0.1, seed=2)(image(), field)
    np.testing.assert_array_equal(noisy, N.add_rician(image(), np.float32(0.1) * field, np.random.default_rng(2)))


RANDOM = [
    lambda: T.RandMagnitudeNoise((0.0, 0.2), g_factor=(1, 2, 0.5), coils=(1, 4)),
    lambda: T.RandSaltPepperNoise((0.1, 0.2, 0.3)),
]
RANDOM_DICTIONARY = [
    lambda: T.RandMagnitudeNoised("image", sigma=(0.0, 0.2), g_factor=(1, 2, 0.5), coils=(1, 4)),
    lambda: T.RandSaltPepperNoised("image", density=(0.1, 0.2, 0.3)),
]


@pytest.mark.parametrize("make", RANDOM)
def test_random_noise_is_made_again_from_its_seed(make: object) -> None:
    v = image(shape=(1, 12, 13, 14))
    runs = []
    for seed in (5, 5, 6):
        transform = make().set_random_state(seed)
        runs.append([transform(v) for _ in range(4)])
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])
    assert all(not np.array_equal(runs[0][0], other) for other in runs[0][1:])


@pytest.mark.parametrize(("make", "make_dictionary"), list(zip(RANDOM, RANDOM_DICTIONARY, strict=True)))
def test_dictionary_versions_draw_as_array_versions_do(make: object, make_dictionary: object) -> None:
    v = image(shape=(1, 12, 13, 14))
    array, dictionary = make().set_random_state(9), make_dictionary().set_random_state(9)
    for _ in range(4):
        np.testing.assert_array_equal(dictionary({"image": v})["image"], array(v))


@pytest.mark.parametrize("make_dictionary", RANDOM_DICTIONARY)
def test_compose_seeds_the_dictionary_versions(make_dictionary: object) -> None:
    v = image(shape=(1, 12, 13, 14))
    one, two = (Compose([make_dictionary()]).set_random_state(3)({"image": v})["image"] for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_all_keys_get_the_same_noise() -> None:
    v = image(shape=(1, 12, 13, 14))
    for transform in (T.RandMagnitudeNoised(["a", "b"]), T.RandSaltPepperNoised(["a", "b"])):
        item = transform.set_random_state(0)({"a": v, "b": v})
        np.testing.assert_array_equal(item["a"], item["b"])


def test_probability_zero_leaves_the_image_and_says_sigma_0() -> None:
    v = torch.from_numpy(image(shape=(1, 12, 13, 14)))
    item = T.RandMagnitudeNoised("image", sigma=0.3, prob=0.0)({"image": v})
    assert torch.equal(item["image"], v) and item["sigma"].abs().max() == 0 and item["sigma"].shape == v.shape
    assert torch.equal(T.RandSaltPepperNoise(prob=0.0)(v), v)


def test_the_map_of_sigma_tells_the_noise_that_was_added() -> None:
    v = np.zeros((1, 64, 64, 64), np.float32)
    transform = T.RandMagnitudeNoised("image", sigma=(0.05, 0.2), g_factor=(1, 3, 1.0)).set_random_state(2)
    item = transform({"image": v})
    sigma = item["sigma"].numpy()
    assert sigma.shape == v.shape and sigma.max() / sigma.min() > 1.5
    # the power of Rayleigh noise is 2 sigma^2 wherever sigma is
    ratio = item["image"].astype(float) ** 2 / (2 * sigma.astype(float) ** 2)
    halves = sigma > np.median(sigma)
    for where in (halves, ~halves):
        assert ratio[where].mean() == pytest.approx(1, abs=0.02)


def test_a_power_above_one_favours_low_levels() -> None:
    v = np.zeros((1, 2, 2), np.float32)
    levels = {}
    for power in (1.0, 3.0):
        transform = T.RandMagnitudeNoise((0.1, 0.3), power=power).set_random_state(0)
        found = []
        for _ in range(400):
            transform(v)
            found.append(float(transform.sigma_map[0, 0, 0]))
        assert min(found) >= 0.1 and max(found) <= 0.3
        levels[power] = np.mean(found)
    # the mean of u^p is 1 / (p + 1)
    for power, mean in levels.items():
        assert mean == pytest.approx(0.1 + 0.2 / (power + 1), abs=0.01)


def test_densities_are_chosen_among_those_given() -> None:
    v = np.full((1, 200, 200), 0.5, np.float32)
    transform = T.RandSaltPepperNoise((0.1, 0.3)).set_random_state(0)
    found = {round(float((transform(v) != 0.5).mean()), 1) for _ in range(12)}
    assert found == {0.1, 0.3}


def test_noise_on_integers_is_not_rounded_away() -> None:
    image = np.ones((1, 32, 32), dtype=np.int16)
    noisy = T.RandMagnitudeNoise(sigma=0.1).set_random_state(0)(image)
    assert noisy.dtype == np.float32 and noisy.std() == pytest.approx(0.1, rel=0.1)
    assert T.RandMagnitudeNoise(prob=0.0)(image).dtype == np.float32


@pytest.mark.parametrize("sigma", [(0.2, 0.1), "x", (0.1, 0.2, 0.3), -1, (0, float("inf")), None])
def test_a_range_that_is_none_is_named(sigma: object) -> None:
    for make in (lambda: T.RandMagnitudeNoised("image", sigma), lambda: T.RandScannerNoised("image", level=sigma)):
        with pytest.raises(ValueError, match=r"(sigma|level): a number from 0 on, or a range \(low, high\)"):
            make()


def test_items_may_lack_a_key_if_that_is_allowed() -> None:
    for kind in (T.RandMagnitudeNoised, T.RandSaltPepperNoised, T.RandScannerNoised):
        assert kind("image", allow_missing_keys=True)({"other": 1}) == {"other": 1}
        with pytest.raises(KeyError):
            kind("image")({"other": 1})


def test_a_missing_map_and_a_wrong_shape_are_named() -> None:
    with pytest.raises(KeyError, match="no map of sigma"):
        T.RandNoiseMapd("image")({"image": np.ones((1, 8, 8), np.float32)})
    with pytest.raises(ValueError, match=r"image: a slab of slices, shape \(C, H, W\)"):
        T.RandScannerNoised("image")({"image": np.ones((1, 8, 8, 4), np.float32)})
