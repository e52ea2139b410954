"""The whole scanner: maps of sigma and floors against many repeats, and what holds for every scanner."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from mri_denoise.errors import InputError
from mri_denoise.noise.rician import rice_moments
from mri_denoise.simulation import phantom_affine
from mri_denoise.simulation.scanner import Scan, random_scanners, scan, scan_volume
from mri_denoise.simulation.scanner_choice import FixedParameters, random_parameters
from mri_denoise.simulation.scanner_parameters import ScannerParameters
from mri_denoise.volume import Volume
from tests.phantoms import head

VOXEL = (8.0, 8.0, 8.0)
SHAPE = (24, 30, 24)
REPEATS = 60

SCANNERS = {
    "even": ScannerParameters(coils=4),
    "birdcage": ScannerParameters(coils=1, combination="rss", window="hann"),
    "sense": ScannerParameters(acceleration=2, partial_fourier=0.75, zero_filling=1.2),
    "sense with a prior": ScannerParameters(acceleration=3, coils=12, regularisation=1.0, window="tukey"),
    "root of sum of squares": ScannerParameters(coils=12, channels=8, coupling=0.3, combination="rss"),
    "grappa, root of sum of squares": ScannerParameters(
        acceleration=2, method="grappa", combination="rss", normalisation=1.0
    ),
    "grappa, adaptive": ScannerParameters(
        acceleration=3,
        coils=12,
        channels=8,
        method="grappa",
        combination="adaptive",
        normalisation=1.0,
        elliptical=True,
    ),
    "3D": ScannerParameters(combination="adaptive", zero_filling=1.3, slice_zero_filling=1.5, window="fermi", air=0.4),
}


def run(parameters: ScannerParameters, seed: int = 0, truth: np.ndarray | None = None) -> Scan:
    return scan(head(SHAPE) if truth is None else truth, VOXEL, parameters, np.random.default_rng(seed))


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow if "grappa" in n else ()) for n in SCANNERS])
def test_sigma_and_floor_are_those_of_repeats(name: str) -> None:
    parameters = replace(SCANNERS[name], level=0.03)
    slab = head(SHAPE)[:, :, 10:14]
    scans = [run(parameters, seed, slab) for seed in range(REPEATS)]
    one = scans[0]
    images = np.stack([s.image for s in scans])
    for other in scans[1:]:
        np.testing.assert_array_equal(other.truth, one.truth)
        np.testing.assert_array_equal(other.sigma, one.sigma)
    mean, std = images.mean(axis=0), images.std(axis=0, ddof=1)
    strong = one.truth > 12 * one.sigma
    ratio = std[strong] / one.sigma[strong]
    assert strong.sum() > 300 and np.median(ratio) == pytest.approx(1, abs=0.03)
    # no region is worse than the whole: what is left is the scatter of a standard deviation of few values
    assert np.percentile(np.abs(ratio - 1), 90) < 2.1 / np.sqrt(2 * REPEATS)
    # half a standard deviation of signal hardly lifts the mean
    dark = (one.truth < 0.2 * one.sigma) & (one.sigma > 0)
    assert dark.sum() > 30
    assert np.median(mean[dark] / one.floor_mean[dark]) == pytest.approx(1, abs=0.03)
    assert np.median(std[dark] / one.floor_std[dark]) == pytest.approx(1, abs=0.06)


@pytest.mark.slow
def test_a_signal_with_strong_noise_is_rician() -> None:
    image = np.stack([run(ScannerParameters(coils=4, level=0.4), seed).image for seed in range(40)])
    found = run(ScannerParameters(coils=4, level=0.4))
    mean, std = rice_moments(found.truth / found.sigma)
    inside = head(SHAPE) > 0.3
    assert np.median(image.mean(axis=0)[inside] / (mean * found.sigma)[inside]) == pytest.approx(1, abs=0.01)
    assert np.median(image.std(axis=0, ddof=1)[inside] / (std * found.sigma)[inside]) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("name", ["sense", "3D", "birdcage"])
def test_neighbours_are_correlated_as_told(name: str) -> None:
    parameters = replace(SCANNERS[name], level=0.01, air=1.0)
    flat = np.ones((24, 30, 20), np.float32)
    scans = [run(parameters, seed, flat) for seed in range(6)]
    noise = np.stack([(s.image - s.truth) / s.sigma for s in scans])
    for axis, row in enumerate(scans[0].correlation):
        ahead = np.moveaxis(noise, 1 + axis, 0)
        for lag in range(3):
            assert (ahead[: len(ahead) - lag] * ahead[lag:]).mean() == pytest.approx(row[lag], abs=0.05)


def test_without_losses_the_truth_is_the_object() -> None:
    for parameters in (ScannerParameters(), ScannerParameters(acceleration=2)):
        np.testing.assert_allclose(run(parameters).truth, head(SHAPE), atol=0.01)
    shaded = run(ScannerParameters(combination="rss"))
    even = run(ScannerParameters(combination="rss", normalisation=1.0))
    inside = head(SHAPE) > 0.2
    assert np.std(shaded.truth[inside] / head(SHAPE)[inside]) > 0.15
    np.testing.assert_allclose(even.truth[inside], head(SHAPE)[inside], rtol=1e-3)
    assert even.sigma[inside].std() / even.sigma[inside].mean() > 0.15 > shaded.sigma[inside].std()


@pytest.mark.slow
def test_the_level_is_the_median_over_the_head() -> None:
    for parameters in SCANNERS.values():
        found = run(parameters)
        inside = found.truth > 0.1 * found.truth.max()
        assert np.median(found.sigma[inside]) == pytest.approx(parameters.level * head(SHAPE).max(), rel=0.05)
        assert found.correlation.shape == (3, 5) and (found.correlation[:, 0] == 1).all()


def test_acceleration_amplifies_noise_in_the_middle() -> None:
    spread = []
    for factor in (1, 2, 3):
        found = run(ScannerParameters(acceleration=factor, coils=12))
        middle = found.sigma[10:14, 13:17, 10:14].mean()
        spread.append(middle / np.median(found.sigma[head(SHAPE) > 0.3]))
    assert spread[0] < spread[2] and spread[1] < spread[2]


def test_masked_air_is_zero_and_grey_levels_are_integers() -> None:
    found = run(ScannerParameters(air=0.0, grey_levels=255, combination="rss"))
    outside = (head(SHAPE) == 0) & (found.sigma == 0)
    assert outside.mean() > 0.2 and not found.image[outside].any() and not found.floor_mean[outside].any()
    plain = run(ScannerParameters(combination="rss"))
    steps = found.image / (plain.truth.max() / 255)
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-2)
    assert len(np.unique(found.image)) < 400
    np.testing.assert_allclose(found.sigma[head(SHAPE) > 0.3], plain.sigma[head(SHAPE) > 0.3], rtol=1e-5)


@pytest.mark.parametrize("slice_axis", [0, 1, 2])
def test_axes_are_only_names(slice_axis: int) -> None:
    parameters = ScannerParameters(
        acceleration=2, method="grappa", combination="rss", partial_fourier=0.75, slice_zero_filling=1.5
    )
    plain = run(parameters)
    turned = scan(
        np.moveaxis(head(SHAPE), 2, slice_axis),
        VOXEL,
        parameters,
        np.random.default_rng(0),
        slice_axis=slice_axis,
        bore_axis=slice_axis,
    )
    for name in ("image", "truth", "sigma", "floor_mean"):
        np.testing.assert_array_equal(np.moveaxis(getattr(turned, name), slice_axis, 2), getattr(plain, name))
    order = [*(a for a in range(3) if a != slice_axis), slice_axis]
    np.testing.assert_allclose(turned.correlation[order], plain.correlation)


def test_the_affine_tells_slices_and_bore() -> None:
    parameters = ScannerParameters(acceleration=2, coils=12)
    plain = run(parameters)
    sagittal = np.diag([*VOXEL, 1.0])[:, [2, 0, 1, 3]]  # axes to the top, to the right, forward
    volume = Volume(array=np.stack([head(SHAPE), head(SHAPE)]).transpose(0, 3, 1, 2), affine=sagittal, slice_axis=0)
    first, second = scan_volume(volume, parameters, np.random.default_rng(0))
    np.testing.assert_array_equal(first.image.transpose(1, 2, 0), plain.image)
    np.testing.assert_array_equal(first.sigma, second.sigma)
    assert np.abs(first.image - second.image).max() > 0


@pytest.mark.parametrize("shape", [(1, 9, 1), (20, 17, 1), (13, 1, 8), (5, 6, 7)])
def test_any_shape_and_any_value_is_scanned(shape: tuple[int, int, int]) -> None:
    volume = np.random.default_rng(0).random(shape, dtype=np.float32)
    volume.flat[0] = np.nan
    volume.flat[1] = -5
    for truth in (volume, np.zeros(shape)):
        for parameters in SCANNERS.values():
            found = run(parameters, truth=truth)
            for name in ("image", "truth", "sigma", "floor_mean", "floor_std"):
                array = getattr(found, name)
                assert array.shape == shape and array.dtype == np.float32
                assert np.isfinite(array).all() and array.min() >= 0


def test_random_scanners_repeat_and_differ() -> None:
    heads = (head(SHAPE), head((20, 24, 16), "T2w"))
    volumes = [Volume(array=one[None], affine=phantom_affine(one.shape)) for one in heads]
    first, again = (list(islice(random_scanners(volumes, count, seed=4), 3)) for count in (3, 40))
    for a, b in zip(first, again, strict=True):
        assert a.parameters == b.parameters
        np.testing.assert_array_equal(a.image, b.image)
        assert np.isfinite(a.image).all() and json.loads(json.dumps(a.parameters.record()))["coils"] >= 1
    assert len({a.parameters for a in first}) == 3 and first[1].image.shape == (20, 24, 16)
    assert next(random_scanners(volumes, seed=5)).parameters != first[0].parameters


def test_random_choices_are_valid_and_wide() -> None:
    drawn = [random_parameters(np.random.default_rng([0, i])) for i in range(300)]
    assert {p.acceleration for p in drawn} == {1, 2, 3} and {p.combination for p in drawn} == {
        "rss",
        "adaptive",
        "sense",
    }
    assert {p.window for p in drawn} == {"none", "tukey", "hann", "fermi"} and {p.coils for p in drawn} >= {1, 4, 32}
    assert min(p.level for p in drawn) < 0.012 and 0.08 < max(p.level for p in drawn) <= 0.1
    fixed = FixedParameters(level=0.03, coils=8, acceleration=2, method="grappa", combination="rss")
    for i in range(20):
        p = random_parameters(np.random.default_rng(i), fixed, most_channels=4)
        assert (p.level, p.coils, p.acceleration, p.method, p.combination) == (0.03, 8, 2, "grappa", "rss")
        assert p.channels == 4


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"level": 1.5}, "level"),
        ({"coils": 0}, "coils"),
        ({"channels": 9}, "channels"),
        ({"acceleration": 3, "coils": 2}, "acceleration"),
        ({"partial_fourier": 0.5}, "partial_fourier"),
        ({"acceleration": 2, "combination": "rss"}, "GRAPPA"),
        ({"normalisation": 1.0}, "even already"),
    ],
)
def test_impossible_scanners_are_refused_in_one_line(values: dict[str, float], word: str) -> None:
    with pytest.raises(InputError, match=word):
        ScannerParameters(**values)  # type: ignore[arg-type]
