"""Images that were interpolated by zero-filling, against the matrix on which they were measured."""

from __future__ import annotations

from functools import cache

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from scipy.signal import resample

from mri_denoise.noise.level import estimate_series, estimate_sigma
from mri_denoise.noise.model import find_noise
from mri_denoise.noise.zero_filling import coverage_of, find_coverage, find_edges, undo_zero_filling
from tests.phantoms import head

SIGMA = 30.0


@cache
def scan(matrix: tuple[int, int], size: tuple[int, int], sigma: float = SIGMA, *, masked: bool) -> np.ndarray:
    """A head on a matrix of so many pixels, with noise, zero-filled to a size, as magnitudes; the air zeroed or not."""
    clean = np.float64(1000) * head((*matrix, 60))[:, :, 20:40]
    real, imaginary = np.random.default_rng(0).standard_normal((2, *clean.shape))
    filled = clean + sigma * (real + 1j * imaginary)
    for axis, length in enumerate(size):
        filled, clean = (resample(a, length, axis=axis) for a in (filled, clean))
    found = np.abs(filled).astype(np.float32)
    found = np.where(clean > 100, found, 0).astype(np.float32) if masked else found
    found.flags.writeable = False
    return found


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("matrix", [(160, 160), (112, 160), (160, 80), (128, 96)])
def test_coverage_of_k_space_is_found(matrix: tuple[int, int], masked: bool) -> None:
    image = scan(matrix, (160, 160), 2 * SIGMA, masked=masked)
    for found, count in zip(find_coverage(image), matrix, strict=True):
        assert found == 1 if count == 160 else count / 160 - 0.06 < found <= count / 160


def test_short_and_empty_axes_say_nothing() -> None:
    assert find_coverage(scan((16, 160), (32, 160), masked=True))[0] == 1
    assert find_coverage(np.zeros((64, 64, 4), np.float32)) == (1, 1)
    assert find_coverage(np.full((64, 64, 4), np.nan, np.float32)) == (1, 1)


def test_a_small_slice_says_nothing() -> None:
    image = pydicom.dcmread(get_testdata_file("MR_small.dcm")).pixel_array.astype(np.float32)[..., None]
    assert find_coverage(image) == (1, 1)
    assert estimate_sigma(image, slice_axis=2).sigma < 40  # with a coverage it was 95: edges went, too


def test_the_acquired_matrix_keeps_what_the_acquired_part_holds() -> None:
    x = np.arange(64)[:, None, None]
    wave = (5 + np.sin(2 * np.pi * 7 * x / 64) * np.ones((1, 10, 3))).astype(np.float32)
    expected = 5 + np.sin(2 * np.pi * 7 * np.arange(32)[:, None, None] / 32) * np.ones((1, 10, 3))
    np.testing.assert_allclose(undo_zero_filling(wave, (0.5, 1.0)), expected, atol=1e-5)
    np.testing.assert_array_equal(undo_zero_filling(wave, (1.0, 1.0)), wave)


def test_masked_voxels_stay_zero_on_the_acquired_matrix() -> None:
    image = scan((112, 160), (160, 160), masked=True)
    found = undo_zero_filling(image, (0.7, 1.0))
    assert found.shape == (112, 160, 20)
    assert np.mean(found == 0) == pytest.approx(np.mean(image == 0), abs=0.01)


@pytest.mark.parametrize("matrix", [(112, 160), (160, 80), (128, 96)])
def test_sigma_of_masked_interpolated_images_is_that_of_the_measurement(matrix: tuple[int, int]) -> None:
    image = scan(matrix, (160, 160), masked=True)
    level = estimate_sigma(image, slice_axis=2)
    assert level.method == "foreground"
    assert level.sigma == pytest.approx(SIGMA, rel=0.12)


@pytest.mark.parametrize("sigma", [5, 10, 30, 80])
def test_smooth_anatomy_in_white_noise_is_not_taken_for_interpolation(sigma: float) -> None:
    image = scan((160, 160), (160, 160), sigma, masked=True)
    assert estimate_sigma(image, slice_axis=2).sigma == pytest.approx(sigma, rel=0.2 if sigma == 5 else 0.1)


def test_map_of_masked_interpolated_images() -> None:
    image = scan((112, 160), (160, 160), masked=True)
    inside = image > 300
    assert float(np.median(find_noise(image, slice_axis=2, as_map=True).sigma[inside])) == pytest.approx(
        SIGMA, rel=0.15
    )


def test_series_is_measured_alike() -> None:
    series = np.stack([f * scan((112, 160), (160, 160), masked=True) for f in (1.0, 0.5)])
    levels = estimate_series(series, slice_axis=2)
    assert [level.sigma for level in levels] == pytest.approx([SIGMA, SIGMA / 2], rel=0.12)
    assert levels[0].sigma == pytest.approx(2 * levels[1].sigma, rel=1e-4)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("matrix", [(160, 80), (96, 160), (120, 80)])
def test_the_level_is_found_where_one_axis_is_filled_more_than_the_other(matrix: tuple[int, int], masked: bool) -> None:
    image = scan(matrix, (160, 160), masked=masked)
    # on a larger matrix the values of the same k-space are the same, and so is the level. Masked, it is found 0.88
    # times as high where both axes are filled alike
    assert find_noise(image, slice_axis=2).level == pytest.approx(SIGMA, rel=0.18 if masked else 0.03)
    found = find_noise(image, slice_axis=2, as_map=True).sigma
    inside = head((160, 160, 60))[:, :, 20:40] > 0.3
    assert found.shape == image.shape
    assert np.abs(found[inside] / np.median(found[inside]) - 1).max() < 0.27


def test_only_emptied_k_space_counts_as_empty() -> None:
    image = scan((112, 160), (160, 160), masked=False)
    assert coverage_of(find_edges(image), empty=True) == find_coverage(image) == (pytest.approx(0.7, abs=0.04), 1.0)
    spectrum = np.fft.fft2(scan((160, 160), (160, 160), masked=False), axes=(0, 1))
    weaker = np.where(np.abs(np.fft.fftfreq(160)) > 0.35, 0.4, 1.0)[:, None, None]  # as a filter leaves it
    found = np.abs(np.fft.ifft2(weaker * spectrum, axes=(0, 1)))
    assert find_coverage(found)[0] < 0.8
    assert coverage_of(find_edges(found), empty=True) == (1.0, 1.0)
