"""The model of the noise against noise whose level, floor and correlation are known."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy import ndimage, stats

from mri_denoise.noise.cautions import UNSURE
from mri_denoise.noise.floor import _is_air
from mri_denoise.noise.model import NoiseModel, find_noise
from mri_denoise.noise.rician import chi_coils, chi_mean, chi_moments, rice_moments
from mri_denoise.noise.series import find_series_noise
from mri_denoise.noise.simulate import add_rician, smooth_field
from mri_denoise.noise.spectrum import spectrum_correlation
from mri_denoise.simulation import head_phantom
from tests.phantoms import head

SHAPE = (96, 120, 20)


@pytest.fixture(scope="module")
def clean() -> np.ndarray:
    return 1000 * head(SHAPE, "T1w", seed=1)


def noisy(clean: np.ndarray, sigma: float | np.ndarray, coils: int = 1, coverage: float = 1.0) -> np.ndarray:
    """With noise of a level; the last two axes are those along which k-space is covered in part."""
    slices = add_rician(
        np.moveaxis(clean, 2, 0), _first(sigma), np.random.default_rng(3), coils=coils, coverage=coverage
    )
    return np.moveaxis(slices, 0, 2)


def _first(sigma: float | np.ndarray) -> float | np.ndarray:
    return np.moveaxis(sigma, 2, 0) if isinstance(sigma, np.ndarray) else sigma


def tissue_error(model: NoiseModel, truth: float | np.ndarray, clean: np.ndarray) -> np.ndarray:
    """Relative errors of the level where there is tissue."""
    return (np.broadcast_to(model.sigma, clean.shape) / truth - 1)[clean > 200]


@pytest.mark.parametrize("sigma", [10, 30, 90])
def test_even_rician_noise_is_one_number_and_rice_s_law(clean: np.ndarray, sigma: float) -> None:
    model = find_noise(noisy(clean, sigma), slice_axis=2)
    assert model.sigma.shape == ()
    assert model.level == pytest.approx(sigma, rel=0.03)
    assert (model.floor, model.floor_ratio.tolist(), model.coils) == ("rician", 1.0, 1.0)
    assert not model.correlation[:, 1:].any()
    assert model.confidence.level > 0.9


@pytest.mark.parametrize("sigma", [20, 60])
def test_masked_air_leaves_the_level_of_the_tissue(clean: np.ndarray, sigma: float) -> None:
    model = find_noise(noisy(clean, sigma) * (clean > 0), slice_axis=2)
    assert model.source == "tissue"
    assert model.floor in ("masked", "rician")
    assert np.median(np.abs(tissue_error(model, sigma, clean))) < 0.1


def test_uneven_noise_gets_a_map(clean: np.ndarray) -> None:
    truth = 40 * smooth_field(SHAPE, np.random.default_rng(5), 1.0, 2.5, knots=3)
    model = find_noise(noisy(clean, truth), slice_axis=2)
    error = np.abs(tissue_error(model, truth, clean))
    assert model.sigma.shape == SHAPE
    assert np.median(error) < 0.11
    assert np.percentile(error, 95) < 0.25


def test_suppressed_air_is_not_the_noise_and_has_a_floor_of_its_own(clean: np.ndarray) -> None:
    image = noisy(clean, 40) * np.where(clean > 0, 1, 0.25)
    model = find_noise(image, slice_axis=2)
    assert model.floor == "suppressed"
    assert np.median(np.abs(tissue_error(model, 40, clean))) < 0.12
    air = (clean == 0) & (np.arange(SHAPE[0]) < 8)[:, None, None]
    explained = (np.broadcast_to(model.floor_ratio, SHAPE) * model.sigma)[air] * chi_mean(1)
    assert explained.mean() == pytest.approx(image[air].mean(), rel=0.15)


def test_many_coils_are_told_from_one(clean: np.ndarray) -> None:
    model = find_noise(noisy(clean, 25, coils=8), slice_axis=2)
    assert model.floor == "chi"
    assert model.level * chi_mean(model.coils) == pytest.approx(25 * chi_mean(8), rel=0.1)
    assert np.median(np.abs(tissue_error(model, 25, clean))) < 0.2


def test_zero_filled_noise_is_found_correlated(clean: np.ndarray) -> None:
    model = find_noise(noisy(clean, 40, coverage=0.6) * (clean > 0), slice_axis=2)
    assert (model.correlation[:2, 1] > 0.3).all()  # sinc(0.6) is 0.50
    assert np.median(np.abs(tissue_error(model, 40, clean))) < 0.25


def test_unit_and_axis_of_slices_do_not_matter(clean: np.ndarray) -> None:
    image = noisy(clean, 30)
    first = find_noise(image, slice_axis=2)
    turned = find_noise(np.moveaxis(image, 2, 0) * 1e-4, slice_axis=0)
    assert turned.level == pytest.approx(1e-4 * first.level, rel=1e-3)
    assert turned.floor == first.floor


@pytest.mark.parametrize("shape", [(4, 4, 4), (64, 64, 1), (5, 80, 3)])
def test_small_and_empty_volumes_have_a_model(shape: tuple[int, int, int]) -> None:
    assert find_noise(np.zeros(shape)).level == 0
    model = find_noise(np.random.default_rng(0).rayleigh(10, shape))
    assert np.isfinite(model.sigma).all()
    assert model.correlation.shape[0] == 3


def test_values_that_are_not_finite_are_ignored(clean: np.ndarray) -> None:
    image = noisy(clean, 30)
    image[:6, :6, :3] = np.nan
    image[50, 60, 10] = np.inf
    assert find_noise(image, slice_axis=2).level == pytest.approx(30, rel=0.03)


def test_chi_moments_against_scipy_and_rice() -> None:
    snr = np.array([0.0, 0.7, 3.0, 12.0])
    for coils in (1, 4, 16):
        mean, std = chi_moments(snr, coils)
        power = stats.ncx2(2 * coils, np.maximum(np.square(snr), 1e-12))
        expected = [law.expect(np.sqrt) for law in (stats.ncx2(2 * coils, max(s * s, 1e-12)) for s in snr)]
        assert mean == pytest.approx(expected, rel=1e-5)
        assert np.square(mean) + np.square(std) == pytest.approx(power.mean(), rel=1e-9)
    assert np.allclose(chi_moments(snr, 1), rice_moments(snr), atol=1e-9)
    assert chi_coils(chi_mean(7.5)) == pytest.approx(7.5)


def test_correlation_of_white_and_of_half_a_band() -> None:
    assert spectrum_correlation(np.ones((6, 6)), 3)[:, 1:] == pytest.approx(np.zeros((2, 3)), abs=1e-12)
    half = np.outer(np.arange(64) < 32, np.ones(64))
    assert spectrum_correlation(half, 3)[0] == pytest.approx(np.sinc(np.arange(4) / 2), abs=0.02)


def test_the_variation_is_that_of_the_noise(clean: np.ndarray) -> None:
    assert find_noise(noisy(clean, 40), slice_axis=2).variation == 1
    field = smooth_field(SHAPE, np.random.default_rng(5), 1.0, 2.5, knots=3)
    low, high = np.percentile(field, [5, 95])
    assert find_noise(noisy(clean, 40 * field), slice_axis=2).variation == pytest.approx(high / low, rel=0.3)


@pytest.mark.parametrize("sigma", [90, 200, 300])
def test_dark_tissue_without_air_is_no_noise_of_many_coils(clean: np.ndarray, sigma: float) -> None:
    inside = (slice(30, 66), slice(36, 84), slice(4, 14))
    assert (clean[inside] > 0).mean() > 0.9
    model = find_noise(noisy(clean, sigma)[inside], slice_axis=2)
    assert model.floor != "chi" and model.coils == 1


def test_many_coils_are_told_at_much_noise(clean: np.ndarray) -> None:
    assert find_noise(noisy(clean, 60, coils=8), slice_axis=2).floor == "chi"


@pytest.mark.slow
def test_a_very_large_slice_is_sampled() -> None:
    rng, length = np.random.default_rng(0), 6000
    disc = np.hypot(*np.meshgrid(*2 * [np.arange(length) - length / 2])) < 0.4 * length
    fine = ndimage.gaussian_filter(rng.normal(0, 150, disc.shape), 3)
    clean = np.where(disc, 500 + fine, 0)[..., None].astype(np.float32)
    noise = rng.normal(0, 20, (2, *clean.shape)).astype(np.float32)
    image = np.hypot(clean + noise[0], noise[1])
    tracemalloc.start()
    model = find_noise(image, slice_axis=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert model.level == pytest.approx(20, rel=0.35)  # hardly any structure: high by up to a third
    assert peak < 2.2 * image.nbytes  # a copy that is counted from zero, and samples


def test_noise_as_strong_as_the_signal_is_told_by_the_air() -> None:
    """Of tissue that weak, the network would call the level an eighth too low."""
    clean = 1000 * head_phantom((128, 160, 32))
    model = find_noise(add_rician(clean, 350.0, np.random.default_rng(0)), slice_axis=2)
    assert model.source == "air"
    assert model.level == pytest.approx(350, rel=0.03)


def test_tissue_that_is_quieter_than_the_air_keeps_its_own_level() -> None:
    """However weak it is: receiver coils may be noisier outside."""
    clean = 1000 * head_phantom((128, 160, 32))
    sigma = np.where(ndimage.binary_dilation(clean > 50, iterations=3), 200.0, 250.0)
    model = find_noise(add_rician(clean, sigma, np.random.default_rng(0)), slice_axis=2)
    assert model.source == "tissue"
    assert model.level == pytest.approx(200, rel=0.08)


@pytest.mark.parametrize("shape", [(32, 40, 16), (24, 30, 24)])
def test_detail_of_few_voxels_is_no_noise(shape: tuple[int, int, int]) -> None:
    """The simple estimate says four to six times as much, the network that it hardly knows."""
    image = add_rician(1000 * head_phantom(shape), 5.0, np.random.default_rng(8))
    model = find_noise(image, slice_axis=2)
    assert model.level < 10 and model.confidence.level < 0.5


@pytest.mark.parametrize(
    ("spread", "bright", "expected"),
    [
        (0.70, 0.95, True),  # the noise of many coils
        (0.77, 0.95, True),  # where the level is found a tenth too low
        (0.80, 1.0, False),  # tissue at a level that is an eighth too high
        (0.70, 0.75, False),  # tissue at one that is a third too high: bright blocks seem to spread as little
    ],
)
def test_the_noise_of_many_coils_spreads_less_than_tissue(spread: float, bright: float, expected: bool) -> None:
    jitter = np.random.default_rng(0).normal(1, 0.03, 400)
    mean = np.where(np.arange(400) < 150, 3.5, 15.0) * jitter
    spreads = np.where(np.arange(400) < 150, spread, bright) * jitter[::-1]
    assert _is_air(mean, spreads, np.arange(400) < 150) == expected


@pytest.mark.parametrize(("signal", "slices"), [(2.5, 24), (3, 3), (4, 6), (5, 1), (6, 1)])
def test_dark_tissue_beside_bright_tissue_is_no_noise_of_many_coils(signal: float, slices: int) -> None:
    """Where the level is found too high, tissue seems to vary as little as that."""
    x, y, z = np.mgrid[:128, :128, :slices]
    tissue = np.where(x < 68, 15.0, 10.0)
    tissue[np.hypot(x - 51, y - 64) < 34] = signal
    tissue *= 1 + 0.03 * np.sin(x / 11) * np.cos(y / 9 + z / 5)
    model = find_noise(add_rician(20 * tissue, 20.0, np.random.default_rng(0)), slice_axis=2)
    assert model.floor != "chi" and model.level < 30


def test_even_tissue_far_noisier_than_pure_air_is_texture(clean: np.ndarray) -> None:
    grain = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=SHAPE), 0.7)
    image = add_rician(np.where(clean > 150, np.abs(500 + 600 * grain), 0), 20.0, np.random.default_rng(1))
    model = find_noise(image, slice_axis=2)
    assert model.source == "air" and model.level == pytest.approx(20, rel=0.05)


@pytest.mark.parametrize("value", [500, 1000])
@pytest.mark.parametrize("width", [10, 40])
def test_a_wide_frame_of_one_value_is_no_tissue(clean: np.ndarray, value: int, width: int) -> None:
    image = add_rician(clean, 30, np.random.default_rng(0)).round()
    framed = np.pad(image, [(width, width), (width, width), (0, 0)], constant_values=value)
    found = find_noise(framed, slice_axis=2).level
    assert found == pytest.approx(30, rel=0.05) if width == 40 else 20 < found < 33


def test_labels_and_masks_hold_no_noise(clean: np.ndarray) -> None:
    for drawn in ((clean > 100).astype(float), np.digitize(clean, [100, 400, 700]).astype(float)):
        assert find_noise(drawn, slice_axis=2).level == 0


def test_a_level_without_tissue_is_a_guess(clean: np.ndarray) -> None:
    crop = add_rician(clean[50:66, 50:66, :5], 10, np.random.default_rng(0))
    assert find_noise(crop, slice_axis=2).confidence.level < UNSURE


@pytest.mark.parametrize("blank", [0, 3])
def test_the_volumes_of_a_series_have_one_source(blank: int) -> None:
    """Tissue noisier than air by a seventh: alone, some volumes have the level of the one and some of the other."""
    clean = 1000 * head_phantom((96, 96, 10))
    sigma = np.where(clean > 100, 23.0, 20.0)
    volumes = [add_rician(clean, sigma, np.random.default_rng(seed)) for seed in range(8)]
    assert len({find_noise(volume, slice_axis=2).source for volume in volumes}) == 2
    series = np.stack([*volumes, *[np.zeros_like(clean)] * blank])
    sources = [model.source for model in find_series_noise(series, slice_axis=2)]
    assert len(set(sources[:8])) == 1 and set(sources[8:]) <= {"none"}


def test_a_source_that_is_given_is_taken(clean: np.ndarray) -> None:
    image = noisy(clean, 40)
    models = {source: find_noise(image, slice_axis=2, source=source) for source in ("air", "tissue")}
    assert all(model.source == source for source, model in models.items())
