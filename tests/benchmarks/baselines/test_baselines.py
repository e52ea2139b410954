"""Every method, learned or classical, under one contract, and the classical ones against plain formulas."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.signal import wiener as scipy_wiener

from mri_denoise.benchmarks.baselines import BASELINES, Classical, Method, Slicing
from mri_denoise.benchmarks.baselines.base import Function, remove_rician_bias
from mri_denoise.benchmarks.baselines.learned import learned
from mri_denoise.denoiser import Denoiser
from mri_denoise.errors import InputError
from mri_denoise.evaluation.metrics import psnr
from mri_denoise.noise.simulate import add_rician, add_salt_pepper

os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = "1"  # ANTs is not deterministic with more
SHAPE = (26, 28, 10)
SIGMA = 60.0
DENSITY = 0.3
LEARNED = ("rician", "salt-pepper")
INSTALLED = [*(name for name, method in BASELINES.items() if method.available()), *LEARNED]


@cache
def method(name: str) -> Method:
    """A classical method, or a shipped bundle with its own weights."""
    if name not in LEARNED:
        return BASELINES[name]
    slicing = Slicing(white_level=1000.0 if name == "salt-pepper" else None)
    model = Denoiser.load(name, device="cpu", precision="float32")
    return learned(model, slicing, noise=(name,))  # type: ignore[arg-type]


def plain(function: Function, **options: object) -> Classical:
    return Classical(name="plain", label="", citation="", function=function, **options)  # type: ignore[arg-type]


def smooth_volume() -> np.ndarray:
    """Smooth hills, in the hundreds as scanners give them."""
    x, y, z = (np.linspace(-1, 1, n)[tuple(slice(None) if a == i else None for a in range(3))]
               for i, n in enumerate(SHAPE))  # fmt: skip
    hill = 400 * np.exp(-2 * (x**2 + y**2 + z**2))
    return (250 + hill + 60 * np.cos(3 * x + 2 * y)).astype(np.float32)


def noisy_volume(denoiser: Method) -> np.ndarray:
    rng = np.random.default_rng(0)
    if "rician" in denoiser.noise:
        return add_rician(smooth_volume(), SIGMA, rng)
    return add_salt_pepper(smooth_volume(), DENSITY, rng, salt=1000.0)


@pytest.mark.parametrize("name", INSTALLED)
def test_every_method_keeps_the_contract(name: str) -> None:
    denoiser = method(name)
    clean, noisy = smooth_volume(), noisy_volume(denoiser)
    given = noisy.copy()
    result = denoiser(given, SIGMA)
    np.testing.assert_array_equal(given, noisy)
    assert result.shape == SHAPE and result.dtype == np.float32 and np.isfinite(result).all()
    assert psnr(clean, result) > psnr(clean, noisy) + 1
    # threads of BM3D and its like add up in any order, and those of DIPY's non-local means race for a few voxels
    again = np.isclose(denoiser(given, SIGMA), result, rtol=1e-4, atol=1e-2)
    assert again.mean() > (0.95 if denoiser.name == "nlmeans" else 1 - 1e-9)
    picture = denoiser(noisy[:, :, 5], SIGMA)
    assert picture.shape == SHAPE[:2] and picture.dtype == np.float32
    assert psnr(clean[:, :, 5], picture) > psnr(clean[:, :, 5], noisy[:, :, 5])


@pytest.mark.parametrize("name", INSTALLED)
def test_the_unit_of_the_image_does_not_matter(name: str) -> None:
    denoiser = method(name)
    noisy, white = noisy_volume(denoiser)[:, :, 5], denoiser.slicing.white_level
    other = replace(denoiser, slicing=Slicing(white_level=None if white is None else white / 1000))
    in_hundreds, in_ones = denoiser(noisy, SIGMA), 1000 * other(noisy / 1000, SIGMA / 1000)
    np.testing.assert_allclose(in_ones, in_hundreds, atol=0.5)


@pytest.mark.parametrize("name", INSTALLED)
def test_gives_the_same_each_time(name: str) -> None:
    denoiser = method(name)
    noisy = noisy_volume(denoiser)[:, :, 5]
    first = denoiser(noisy, SIGMA)
    for _ in range(3):
        np.testing.assert_allclose(denoiser(noisy, SIGMA), first, atol=1e-3)  # threads may add up in any order


@pytest.mark.parametrize("shape", [(40, 44, 12), (80, 90)])
def test_sigma_that_is_not_given_is_estimated_once_from_all(shape: tuple[int, ...]) -> None:
    given: list[float] = []

    def note(image: np.ndarray, sigma: float) -> np.ndarray:
        given.append(sigma)
        return image

    noisy = add_rician(np.full(shape, 500, np.float32), SIGMA, np.random.default_rng(0))
    plain(note, dimensions=2)(noisy)
    assert len(given) == (shape[2] if len(shape) == 3 else 1) and len(set(given)) == 1
    assert given[0] == pytest.approx(SIGMA, rel=0.1)
    plain(note, uses_sigma=False)(noisy, SIGMA)
    assert given[-1] == 0
    plain(note, estimates_sigma=True)(noisy, 3 * SIGMA)
    assert given[-1] == given[0]


NEEDS_NOISE = ("tv", "wiener", "wavelet", "nlmeans", "bm3d", "bm4d", "itk-bilateral")


@pytest.mark.parametrize("name", [name for name in INSTALLED if name in NEEDS_NOISE])
def test_without_noise_nothing_changes(name: str) -> None:
    np.testing.assert_array_equal(method(name)(smooth_volume(), 0.0), smooth_volume())


def test_a_missing_package_is_told_with_the_extra_that_installs_it() -> None:
    absent = replace(BASELINES["bm4d"], packages=("no_such_package",))
    assert not absent.available()
    message = r"method bm4d: needs the package no_such_package; pip install mri-denoise\[benchmark\]\."
    with pytest.raises(InputError, match=message):
        absent.load()
    with pytest.raises(InputError, match=message):
        absent(smooth_volume(), SIGMA)


def test_the_registry_names_sources_and_imports_no_package() -> None:
    assert all(d.name == name and d.citation and d.implementation() for name, d in BASELINES.items() if d.available())
    packages = {package for method in BASELINES.values() for package in method.packages}
    code = f"import sys, mri_denoise.benchmarks.baselines; print(sorted({packages!r} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_series_is_refused() -> None:
    with pytest.raises(ValueError, match="neither|not an array"):
        method("gaussian")(np.zeros((2, 3, 4, 5), np.float32), 1.0)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_methods_for_pictures_go_slice_by_slice(axis: int) -> None:
    def mark_first_pixel(image: np.ndarray, sigma: float) -> np.ndarray:
        result = image + sigma
        result[0, 0] = image.mean()
        return result

    by_slice = plain(mark_first_pixel, dimensions=2, slicing=Slicing(slice_axis=axis))
    volume = np.random.default_rng(0).random((3, 4, 5), dtype=np.float32)
    result = by_slice(volume, 2.0)
    for i in range(volume.shape[axis]):
        expected = mark_first_pixel(volume.take(i, axis), 2.0)
        np.testing.assert_allclose(result.take(i, axis), expected)


def test_bias_of_squares_is_removed() -> None:
    rng = np.random.default_rng(0)
    for signal in (5.0, 20.0):
        magnitudes = add_rician(np.full(200_000, signal, np.float32), 1.0, rng)
        mean = float(magnitudes.mean())
        corrected = float(remove_rician_bias(np.array(mean), 1.0))
        assert abs(corrected - signal) < 0.1 * abs(mean - signal) + 0.006
    assert remove_rician_bias(np.array([0.5]), 1.0) == 0


def test_wiener_is_scipys_with_the_noise_given() -> None:
    noisy = noisy_volume(method("wiener"))
    scipys = remove_rician_bias(scipy_wiener(noisy.astype(np.float64), 3, noise=SIGMA**2), SIGMA)
    np.testing.assert_allclose(method("wiener")(noisy, SIGMA), scipys, rtol=1e-4, atol=1e-4 * SIGMA)
    assert np.isfinite(method("wiener")(np.zeros((4, 5, 6), np.float32), SIGMA)).all()


def test_methods_for_gaussian_noise_are_given_the_unit_range_and_corrected() -> None:
    given: list[tuple[float, float]] = []

    def note(image: np.ndarray, sigma: float) -> np.ndarray:
        given.append((float(np.abs(image).max()), sigma))
        return image

    image = np.full((3, 4, 5), 50.0, dtype=np.float32)
    scaled = plain(note, unit_range=True)
    np.testing.assert_allclose(scaled(image, 10.0), image)
    assert given == [(1.0, 0.2)]
    corrected = replace(scaled, gaussian=True)(image, 10.0)
    np.testing.assert_allclose(corrected, np.sqrt(50.0**2 - 10.0**2), rtol=1e-6)
    assert np.array_equal(scaled(image, 0.0), image) and len(given) == 2


def plain_adaptive_median(image: np.ndarray, largest: int) -> np.ndarray:
    """Hwang and Haddad's two levels pixel by pixel."""
    out = image.copy()
    margin = largest // 2
    padded = np.pad(image, margin, mode="symmetric")
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            for size in range(3, largest + 1, 2):
                r = size // 2
                window = padded[i + margin - r : i + margin + r + 1, j + margin - r : j + margin + r + 1]
                low, middle, high = window.min(), np.sort(window, axis=None)[window.size // 2], window.max()
                if low < middle < high:
                    out[i, j] = image[i, j] if low < image[i, j] < high else middle
                    break
            else:
                out[i, j] = middle
    return out


@pytest.mark.parametrize("density", [0.1, 0.5, 0.9])
def test_adaptive_median_is_the_loop(density: float) -> None:
    clean = smooth_volume()[:, :, 5] / 1000
    noisy = add_salt_pepper(clean, density, np.random.default_rng(1))
    np.testing.assert_array_equal(method("adaptive_median")(noisy), plain_adaptive_median(noisy, 7))
