"""Simulated noise against SciPy's distributions, the published yardstick's formula, and MONAI's ways of seeding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose
from scipy import stats

from mri_denoise import transforms as T
from mri_denoise.noise import simulate as N

SHAPE = (1, 60, 50, 40)


def image(seed: int = 0, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


@pytest.mark.parametrize("snr", [0.0, 0.5, 2.0, 10.0])
def test_rician_moments_are_those_of_rice(snr: float) -> None:
    sigma, count = 3.0, 400_000
    noisy = N.add_rician(np.full(count, snr * sigma, np.float32), sigma, np.random.default_rng(1))
    law = stats.rice(snr, scale=sigma)
    assert noisy.dtype == np.float32
    assert noisy.mean(dtype=float) == pytest.approx(law.mean(), abs=5 * law.std() / np.sqrt(count))
    assert noisy.std(dtype=float) == pytest.approx(law.std(), rel=0.01)
    assert stats.kstest(noisy[:20_000], law.cdf).pvalue > 1e-3


@pytest.mark.parametrize("coils", [2, 4, 8])
@pytest.mark.parametrize("snr", [0.0, 3.0])
def test_several_coils_follow_the_non_central_chi_law(coils: int, snr: float) -> None:
    sigma, count = 0.5, 200_000
    noisy = N.add_rician(np.full(count, snr * sigma, np.float32), sigma, np.random.default_rng(2), coils)
    law = stats.ncx2(2 * coils, snr**2) if snr else stats.chi2(2 * coils)
    power = (noisy.astype(float) / sigma) ** 2
    assert power.mean() == pytest.approx(law.mean(), abs=5 * law.std() / np.sqrt(count))
    assert power.std() == pytest.approx(law.std(), rel=0.02)
    assert stats.kstest(power[:20_000], law.cdf).pvalue > 1e-3


def test_rician_noise_is_drawn_as_the_yardstick_draws_it() -> None:
    v, s = 254 * image(shape=(20, 21, 22)), 12.7
    rng = np.random.default_rng(7)
    g1, g2 = (rng.standard_normal(v.shape, dtype=np.float32) for _ in range(2))
    wanted = np.sqrt((v + s * g1) ** 2 + (s * g2) ** 2)
    np.testing.assert_allclose(N.add_rician(v, s, np.random.default_rng(7)), wanted, rtol=2e-6)


def test_a_map_of_sigma_scales_the_noise_position_by_position() -> None:
    v = image()
    levels = np.linspace(0, 0.2, SHAPE[-1], dtype=np.float32)
    whole = N.add_rician(v, levels, np.random.default_rng(3))
    for z in (0, 13, 39):
        same = N.add_rician(v, float(levels[z]), np.random.default_rng(3))
        np.testing.assert_allclose(whole[..., z], same[..., z], rtol=1e-6)
    np.testing.assert_allclose(whole[..., 0], v[..., 0], rtol=1e-6)


def test_zero_filled_noise_keeps_its_variance_and_lacks_high_frequencies() -> None:
    noise = np.random.default_rng(0).standard_normal((8, 64, 48)).astype(np.float32)
    assert N.limit_band(noise, 1.0) is noise
    limited = N.limit_band(noise, 0.5)
    assert limited.shape == noise.shape and limited.dtype == np.float32
    assert limited.std() == pytest.approx(1, rel=0.05)
    spectrum = np.abs(np.fft.fft2(limited)).mean(0)
    rows, columns = np.abs(np.fft.fftfreq(64)) > 0.25, np.abs(np.fft.fftfreq(48)) > 0.25
    assert spectrum[rows].max() < 1e-3 and spectrum[:, columns].max() < 1e-3
    neighbours = np.corrcoef(limited[:, :, :-1].ravel(), limited[:, :, 1:].ravel())[0, 1]
    assert neighbours == pytest.approx(np.sinc(0.5), abs=0.03)
    # the magnitude of a constant far above the noise has the noise's own spread
    flat = np.full((4, 64, 64), 50.0, dtype=np.float32)
    assert N.add_rician(flat, 1.0, np.random.default_rng(0), band=0.5).std() == pytest.approx(1, rel=0.06)


def test_masked_images_have_no_noise_in_their_background() -> None:
    square = np.zeros((1, 20, 20), dtype=np.float32)
    square[:, 5:15, 5:15] = 0.5
    noisy = np.asarray(T.RicianNoise(0.05, masked=True)(square))
    assert (noisy[square == 0] == 0).all() and (noisy[square > 0] != 0.5).all()
    assert (np.asarray(T.RicianNoise(0.05)(square))[square == 0] > 0).all()
    random = T.RandMagnitudeNoise(sigma=0.05, masked_prob=0.5, band=(0.4, 0.6), band_prob=0.5).set_random_state(0)
    outs = [np.asarray(random(square)) for _ in range(60)]
    assert 15 < sum((o[square == 0] == 0).all() for o in outs) < 45
    bands = []
    for _ in range(60):
        random.randomize(square)
        bands.append(random.noise.band)
    assert {b for b in bands if b < 1} and all(b == 1 or 0.4 <= b <= 0.6 for b in bands) and 1.0 in bands


def test_wrong_parameters_are_refused() -> None:
    rng = np.random.default_rng(0)
    for density, share in ((-0.1, 0.5), (1.1, 0.5), (0.2, 2)):
        with pytest.raises(ValueError, match="0, 1"):
            N.add_salt_pepper(image(), density, rng, share)
    for sigma, coils in ((-1.0, 1), (1.0, 0), (np.array([1.0, -1.0]), 1)):
        with pytest.raises(ValueError, match="sigma"):
            N.add_rician(np.ones(2, np.float32), sigma, rng, coils)


@pytest.mark.parametrize("density", [0.0, 0.1, 0.3, 1.0])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.8, 1.0])
def test_salt_and_pepper_have_their_density_and_share(density: float, share: float) -> None:
    v = np.full(200_000, 0.5, np.float32)
    noisy = N.add_salt_pepper(v, density, np.random.default_rng(4), share, pepper=-1, salt=2)
    salt, pepper = (noisy == 2).mean(), (noisy == -1).mean()
    spread = 5 * np.sqrt(0.25 / v.size)
    assert salt == pytest.approx(density * share, abs=spread if 0 < density * share < 1 else 0)
    assert pepper == pytest.approx(density * (1 - share), abs=spread if 0 < density * (1 - share) < 1 else 0)
    assert ((noisy == 0.5) | (noisy == 2) | (noisy == -1)).all()
    assert (v == 0.5).all()


def test_salt_and_pepper_fall_independently_of_place_and_image() -> None:
    noisy = N.add_salt_pepper(np.full((400, 400), 0.5, np.float32), 0.3, np.random.default_rng(5))
    hit = (noisy != 0.5).astype(float)
    for axis in (0, 1):
        a, b = hit.take(range(399), axis), hit.take(range(1, 400), axis)
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.015


def test_the_smooth_field_is_smooth_and_in_its_range() -> None:
    for shape in ((40,), (40, 30), (40, 30, 20), (1, 7)):
        field = N.smooth_field(shape, np.random.default_rng(0), 1.0, 2.0)
        assert field.shape == shape and field.min() >= 1 and field.max() <= 2
    field = N.smooth_field((60, 60), np.random.default_rng(0), 1.0, 2.0)
    assert field.std() > 0.05 and np.abs(np.diff(field, axis=0)).max() < 0.1


FIXED = [
    (T.RicianNoise(0.1, seed=3), T.RicianNoised("image", sigma=0.1, seed=3)),
    (T.RicianNoise(0.1, seed=3, coils=4), T.RicianNoised("image", sigma=0.1, seed=3, coils=4)),
    (T.SaltPepperNoise(0.2, 0.7, seed=3), T.SaltPepperNoised("image", density=0.2, salt_share=0.7, seed=3)),
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
    lambda: T.RandMagnitudeNoise((0.0, 0.2), g_factor=(1, 2), g_factor_prob=0.5, coils=(1, 4)),
    lambda: T.RandSaltPepperNoise((0.1, 0.2, 0.3)),
]
RANDOM_DICTIONARY = [
    lambda: T.RandMagnitudeNoised("image", sigma=(0.0, 0.2), g_factor=(1, 2), g_factor_prob=0.5, coils=(1, 4)),
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
    transform = T.RandMagnitudeNoised("image", sigma=(0.05, 0.2), g_factor=(1, 3), g_factor_prob=1.0).set_random_state(
        2
    )
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
