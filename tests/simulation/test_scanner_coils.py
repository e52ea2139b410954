"""Coils: Biot and Savart's law against closed forms, channels, noise."""

from __future__ import annotations

import numpy as np
import pytest

from mri_denoise.simulation.scanner_coils import (
    Channels,
    Loops,
    Points,
    arrange_loops,
    loop_sensitivities,
    noise_covariance,
    receive_channels,
)
from mri_denoise.simulation.scanner_parameters import ScannerParameters

WIRE = 8.0  # mm, by which the field is softened


def ball(shape: tuple[int, int, int] = (16, 20, 18)) -> np.ndarray:
    places = np.meshgrid(*(np.linspace(-1.4, 1.4, n) for n in shape), indexing="ij")
    return (sum(p**2 for p in places) < 1).astype(np.float32)


def test_the_field_on_a_loops_axis_is_the_textbooks() -> None:
    radius, along = 50.0, np.linspace(0, 150, 7)
    loops = Loops(centres=np.zeros((1, 3)), axes=radius * np.array([[[0, 1, 0], [0, 0, 1]]], dtype=float))
    seen = loop_sensitivities(loops, (along, np.zeros(1), np.zeros(1)), bore=2)[0, :, 0, 0]
    # B = 2 pi R^2 / (R^2 + x^2)^(3/2), here along x, so that it is all in the real part
    expected = 2 * np.pi * radius**2 / (radius**2 + along**2 + WIRE**2) ** 1.5
    np.testing.assert_allclose(np.abs(seen.real), expected, rtol=1e-4)
    np.testing.assert_allclose(seen.imag, 0, atol=1e-4 * expected[0])


def test_the_field_along_the_bore_is_not_received() -> None:
    loops = Loops(centres=np.zeros((1, 3)), axes=50 * np.array([[[1, 0, 0], [0, 1, 0]]], dtype=float))
    seen = loop_sensitivities(loops, (np.zeros(1), np.zeros(1), np.linspace(0, 90, 4)), bore=2)
    assert np.abs(seen).max() < 1e-4


@pytest.mark.parametrize("bore", [0, 1, 2])
def test_a_single_coil_is_a_birdcage_with_an_even_field(bore: int) -> None:
    head = ball()
    channels = receive_channels(head, (10, 10, 10), bore, ScannerParameters(coils=1, combination="rss", gap=40))
    seen = np.stack([channels.sensitivities.slice(z) for z in range(len(head))], axis=1)
    middle = np.abs(seen[0])[head > 0]
    assert seen.shape == (1, *head.shape) and middle.std() / middle.mean() < 0.15
    array = receive_channels(head, (10, 10, 10), bore, ScannerParameters(coils=8, combination="rss", gap=40))
    one = np.abs(np.stack([array.sensitivities.slice(z) for z in range(len(head))], axis=1))[0][head > 0]
    assert one.std() / one.mean() > 0.4


@pytest.mark.parametrize("count", [4, 8, 12, 32])
def test_loops_lie_around_the_head_and_do_not_depend_on_global_randomness(count: int) -> None:
    half = np.array([90.0, 110.0, 100.0])
    loops = arrange_loops(count, np.array([5.0, 0, 0]), half, 2, seed=3)
    assert loops.centres.shape == (count, 3) and loops.axes.shape == (count, 2, 3)
    outward = loops.centres - [5, 0, 0]
    assert (np.hypot(outward[:, 0] / half[0], outward[:, 1] / half[1]) > 0.5).all()
    np.testing.assert_allclose(np.einsum("nx,nx->n", loops.axes[:, 0], loops.axes[:, 1]), 0, atol=1e-6)
    np.testing.assert_array_equal(loops.centres, arrange_loops(count, np.array([5.0, 0, 0]), half, 2, seed=3).centres)


def test_noise_of_neighbours_is_correlated_as_told() -> None:
    loops = arrange_loops(8, np.zeros(3), np.full(3, 100.0), 2, seed=0)
    covariance = noise_covariance(loops, 0.3)
    assert np.linalg.eigvalsh(covariance).min() > 0 and np.allclose(np.diag(covariance), 1)
    assert 0.2 < np.median(np.sort(covariance, axis=1)[:, -2]) < 0.4
    np.testing.assert_array_equal(noise_covariance(loops, 0.0), np.eye(8))


def test_channels_are_normalised_prewhitened_and_compressed() -> None:
    head = ball()
    every = receive_channels(head, (10, 10, 10), 2, ScannerParameters(coils=16, coupling=0.3))
    few = receive_channels(head, (10, 10, 10), 2, ScannerParameters(coils=16, channels=6, coupling=0.3))
    np.testing.assert_allclose(every.noise_root @ every.noise_root.conj().T, np.eye(16), atol=1e-5)
    assert few.sensitivities.values.shape[0] == 6

    def squares(channels: Channels) -> np.ndarray:
        planes = [np.square(np.abs(channels.sensitivities.slice(z))).sum(axis=0) for z in range(len(head))]
        return np.stack(planes)[head > 0]

    assert squares(every).mean() == pytest.approx(1, rel=0.1)
    # of a smooth object, six principal components keep nearly all of what sixteen coils see
    shape = squares(few) / squares(every)
    assert shape.std() / shape.mean() < 0.15
    coupled = receive_channels(head, (10, 10, 10), 2, ScannerParameters(coils=8, coupling=0.3, combination="rss"))
    root = coupled.noise_root
    assert 0.1 < np.abs((root @ root.conj().T)[0, 1]) < 0.5


def test_smooth_fields_are_interpolated_exactly_where_they_are_cubic() -> None:
    points = Points.over((9, 30, 41), (5, 3, 2))
    field = points.places[0][:, None, None] ** 2 + points.places[1][None, :, None] * points.places[2]
    fine = points.bases[0] @ field.reshape(len(points.places[0]), -1)
    fine = fine.reshape(9, *field.shape[1:])
    found = np.einsum("hi,zij,wj->zhw", points.bases[1], fine, points.bases[2])
    z, h, w = ((np.arange(n) - (n - 1) / 2) * v for n, v in zip((9, 30, 41), (5, 3, 2), strict=True))
    np.testing.assert_allclose(found, z[:, None, None] ** 2 + h[None, :, None] * w, atol=0.01)
    np.testing.assert_allclose(points.average(np.full((9, 30, 41), 0.7, np.float32)), 0.7, rtol=1e-5)
