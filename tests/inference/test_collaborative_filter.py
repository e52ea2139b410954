"""The collaborative filter against scipy's transform group by group, and what it must not change."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import dctn, idctn
from scipy.linalg import hadamard, toeplitz
from scipy.ndimage import gaussian_filter

from mri_denoise.inference import collaborative_filter, group_filter
from mri_denoise.inference.block_matching import BlockAxis
from mri_denoise.inference.collaborative_filter import BLOCK_AXES, filter_blocks
from mri_denoise.inference.native import available
from mri_denoise.inference.native.library import PLAIN
from mri_denoise.noise.correlation import noise_correlation
from mri_denoise.noise.rician import rice_moments
from mri_denoise.noise.simulate import add_rician


@pytest.fixture(autouse=True, params=["compiled", "PyTorch"])
def form(request, monkeypatch):
    """Each test runs with both forms of the filter."""
    if request.param == "PyTorch":
        monkeypatch.setenv(PLAIN, "1")
    elif not available():
        pytest.skip("the filter is not compiled here")


def _volume(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Smooth structures on the scale [0.2, 1]."""
    smooth = gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2)
    return (0.2 + 0.8 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.float32)


def _rician(volume: np.ndarray, sigma: float, seed: int = 1) -> np.ndarray:
    real, imaginary = np.random.default_rng(seed).normal(0, sigma, (2, *volume.shape))
    return np.hypot(volume + real, imaginary).astype(np.float32)


def _ball(axes) -> list[tuple[int, ...]]:
    """Offsets within reach of a block."""
    reach = [range(-int(a.radius), int(a.radius) + 1) for a in axes]
    return [o for o in itertools.product(*reach) if sum((i / a.radius) ** 2 for i, a in zip(o, axes, strict=True)) <= 1]


def _filter_with_scipy(
    noisy: np.ndarray, pilot: np.ndarray, sigma: float, axes: list[BlockAxis], most: int, correlation: np.ndarray
) -> np.ndarray:
    """The same filter one group of at most so many blocks at a time."""
    y = noisy - sigma * (rice_moments(pilot / sigma)[0] - pilot / sigma)
    p = pilot.astype(np.float64)
    starts = [sorted({*range(0, n - a.edge + 1, a.step), n - a.edge}) for n, a in zip(y.shape, axes, strict=True)]

    def block(corner: tuple[int, ...]) -> tuple[slice, ...]:
        return tuple(slice(c, c + a.edge) for c, a in zip(corner, axes, strict=True))

    edges = [a.edge for a in axes]
    covariance = np.ones((1, 1))
    for row, edge in zip(correlation, edges, strict=True):
        covariance = np.kron(covariance, toeplitz(np.pad(row, (0, 8))[:edge]))
    waves = dctn(np.eye(len(covariance)).reshape(-1, *edges), axes=(1, 2, 3), norm="ortho").reshape(covariance.shape)
    spectrum = np.maximum(np.diag(waves.T @ covariance @ waves), 0.05).reshape(edges)
    window = np.einsum("i,j,k->ijk", *(np.kaiser(a.edge, 2.5) for a in axes))
    total, weights = np.zeros(y.shape), np.zeros(y.shape)
    members = min(
        sum(all(0 <= i <= n - a.edge for i, n, a in zip(o, y.shape, axes, strict=True)) for o in _ball(axes)), most
    )
    along_group = hadamard(2 ** int(np.log2(members))) / 2 ** (int(np.log2(members)) / 2)
    for corner in itertools.product(*starts):
        near = [
            c
            for c in itertools.product(*(range(n - a.edge + 1) for a, n in zip(axes, y.shape, strict=True)))
            if sum(((i - j) / a.radius) ** 2 for i, j, a in zip(c, corner, axes, strict=True)) <= 1
        ]
        ranked = sorted((np.sum((p[block(corner)] - p[block(c)]) ** 2) if c != corner else -1, c) for c in near)
        group = [block(c) for _, c in ranked[: len(along_group)]]

        def transform(volume: np.ndarray, group: list[tuple[slice, ...]] = group) -> np.ndarray:
            blocks = dctn(np.stack([volume[b] for b in group]), axes=(1, 2, 3), norm="ortho")
            return np.einsum("ij,j...->i...", along_group, blocks)

        power = transform(p) ** 2
        gain = power / (power + 1.2 * spectrum * sigma**2)
        estimate = idctn(np.einsum("ij,i...->j...", along_group, gain * transform(y)), axes=(1, 2, 3), norm="ortho")
        for b, values in zip(group, estimate, strict=True):
            total[b] += window * values / np.sum(spectrum * gain**2)
            weights[b] += window / np.sum(spectrum * gain**2)
    return total / weights


@pytest.mark.parametrize(
    ("kind", "slice_axis", "blocks", "shape"),
    [
        ("cubes", 0, "cubes", (13, 12, 17)),
        ("cubes", 2, "cubes", (6, 12, 13)),
        ("plates", 2, "plates", (14, 19, 6)),
        ("plates", 0, "plates", (7, 13, 17)),
        ("plates", 2, "cubes", (14, 19, 4)),
        ("squares", 2, "squares", (21, 24, 3)),
        ("squares", 1, "plates", (19, 1, 22)),
    ],
)
@pytest.mark.parametrize("lags", [[[1, 0]] * 3, [[1, 0.4, 0.1], [1, 0.7, -0.1], [1, 0.2, 0]]])
def test_equals_the_filter_group_by_group(kind, slice_axis, blocks, shape, lags):
    truth, correlation = _volume(shape), np.array(lags, dtype=float)
    noisy, pilot = _rician(truth, 0.06), gaussian_filter(truth, 1)
    axes = [BLOCK_AXES[kind][axis == slice_axis] for axis in range(3)]
    wanted = _filter_with_scipy(noisy, pilot, 0.06, axes, 16, correlation)
    for order in ("C", "F"):  # volumes of NIfTI files are stored first axis first
        images = (torch.from_numpy(np.array(image, order=order)) for image in (noisy, pilot))
        got = filter_blocks(*images, torch.tensor(0.06), slice_axis, blocks, correlation)
        np.testing.assert_allclose(got.numpy(), wanted, atol=2e-5)


@pytest.mark.parametrize(("blocks", "radius"), [("cubes", 5), ("plates", 2.5)])
def test_strong_noise_takes_larger_groups(blocks, radius):
    truth = _volume((14, 13, 15))
    noisy, pilot = _rician(truth, 0.2), gaussian_filter(truth, 1)
    within, across = BLOCK_AXES[blocks]
    axes = [replace(across, radius=radius), *[replace(within, radius=5 if blocks == "cubes" else 5.5)] * 2]
    wanted = _filter_with_scipy(noisy, pilot, 0.2, axes, 32, np.array([[1.0, 0]] * 3))
    volume = torch.from_numpy(noisy)
    for sigma in (torch.tensor(0.2), torch.full_like(volume, 0.2)):
        got = filter_blocks(volume, torch.from_numpy(pilot.copy()), sigma, 0, blocks)
        np.testing.assert_allclose(got.numpy(), wanted, atol=2e-5)


@pytest.mark.parametrize(
    ("blocks", "passes", "fine", "wanted"),
    [
        ("cubes", 2, False, [(5, 4, 4), (5, 3, 5)]),
        ("cubes", 2, True, [(5, 4, 4), (4, 2, 5)]),
        ("cubes", 1, True, [(4, 2, 4)]),
        ("plates", 2, True, [(5, 2, 5.5)]),
    ],
)
def test_each_pass_has_its_grid(blocks, passes, fine, wanted):
    truth = _volume((12, 14, 13))
    noisy, result, white = _rician(truth, 0.06), gaussian_filter(truth, 1), np.array([[1.0, 0]] * 3)
    got = filter_blocks(
        torch.from_numpy(noisy), torch.from_numpy(result.copy()), torch.tensor(0.06), 0, blocks, None, passes, fine=fine
    )
    for edge, step, radius in wanted:
        axis = BlockAxis(edge=edge, step=step, radius=radius)
        across = axis if blocks == "cubes" else BLOCK_AXES["plates"][1]
        result = _filter_with_scipy(noisy, result, 0.06, [across, axis, axis], 16, white)
    np.testing.assert_allclose(got.numpy(), result, atol=2e-5)


@pytest.mark.parametrize("slices", [(0, "cubes"), (0, "plates"), (2, "plates")])
@pytest.mark.parametrize(("pilot_of", "share"), [("blurred", 0.6), ("half denoised", 0.75)])
def test_improves_a_result_that_lacks_detail_or_kept_noise(pilot_of, share, slices):
    truth = _volume((28, 28, 28))
    noisy = _rician(truth, 0.05)
    pilot = gaussian_filter(truth, 1.5) if pilot_of == "blurred" else truth + 0.5 * (noisy - truth)
    filtered = filter_blocks(
        torch.from_numpy(noisy), torch.from_numpy(pilot.copy()), torch.tensor(0.05), *slices
    ).numpy()
    assert np.mean((filtered - truth) ** 2) < share * np.mean((pilot - truth) ** 2)


@pytest.fixture(scope="module")
def zero_filled() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A volume, the same with noise, and the correlation of that noise."""
    truth = _volume((24, 48, 48))
    noisy = add_rician(truth, 0.1, np.random.default_rng(0), coverage=0.6)
    return truth, noisy, noise_correlation(noisy[None], 0)


@pytest.mark.parametrize("blocks", list(BLOCK_AXES))
def test_noise_that_is_correlated_is_told_from_signal(zero_filled, blocks):
    truth, noisy, measured = zero_filled
    pilot = torch.from_numpy(truth + 0.4 * (noisy - truth))

    def error(correlation: np.ndarray | None) -> float:
        filtered = filter_blocks(torch.from_numpy(noisy), pilot.clone(), torch.tensor(0.1), 0, blocks, correlation)
        return float(np.mean((filtered.numpy() - truth) ** 2))

    assert error(measured) < 0.9 * error(None)


@pytest.mark.parametrize("slices", [(0, "cubes"), (0, "plates"), (1, "plates")])
def test_chunks_leave_no_trace(monkeypatch, slices):
    noisy, pilot = torch.rand(25, 18, 15), torch.rand(25, 18, 15)
    whole = filter_blocks(noisy, pilot.clone(), torch.tensor(0.2), *slices)
    monkeypatch.setattr(group_filter, "BATCH", 50)
    for planes in (1, 4, 64):
        monkeypatch.setattr(collaborative_filter, "CHUNK", planes * 18 * 15)
        pieces = filter_blocks(noisy, pilot.clone(), torch.tensor(0.2), *slices)
        torch.testing.assert_close(pieces, whole, rtol=0, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 12)] * 3),
    slices=st.tuples(st.sampled_from([0, 1, 2]), st.sampled_from(list(BLOCK_AXES))),
    sigma=st.sampled_from([0.0, 1e-4, 0.1]),
)
def test_any_shape_and_a_map_as_its_constant(shape, slices, sigma):
    noisy, pilot = torch.rand(shape), torch.rand(shape)
    result = filter_blocks(noisy, pilot.clone(), torch.tensor(sigma), *slices)
    assert result.shape == shape and bool(torch.isfinite(result).all())
    mapped = filter_blocks(noisy, pilot.clone(), torch.full(shape, sigma), *slices)
    torch.testing.assert_close(mapped, result, rtol=0, atol=1e-4)


def test_without_noise_nothing_changes():
    image = torch.rand(20, 20, 20)
    torch.testing.assert_close(filter_blocks(image, image.clone(), torch.tensor(0.0), 0), image, rtol=0, atol=1e-5)


def test_noise_that_differs_is_met_where_it_is():
    truth = _volume((32, 32, 32))
    sigma = np.where(np.arange(32)[:, None, None] < 16, 0.02, 0.1).astype(np.float32) * np.ones_like(truth)
    noisy, pilot = _rician(truth, sigma), torch.from_numpy(gaussian_filter(truth, 1))

    def error(level: torch.Tensor, half: slice) -> float:
        filtered = filter_blocks(torch.from_numpy(noisy), pilot.clone(), level, 0).numpy()
        return float(np.mean((filtered - truth)[half] ** 2))

    for half, wrong in ((slice(2, 14), 0.1), (slice(18, 30), 0.02)):
        assert error(torch.from_numpy(sigma), half) < 0.9 * error(torch.tensor(wrong), half)


def test_slices_that_do_not_belong_together_stay_apart():
    noisy, pilot = torch.rand(9, 16, 16), torch.rand(9, 16, 16)
    before = filter_blocks(noisy, pilot.clone(), torch.tensor(0.1), 0, "squares")
    noisy[4], pilot[4] = torch.rand(16, 16), torch.rand(16, 16)
    after = filter_blocks(noisy, pilot.clone(), torch.tensor(0.1), 0, "squares")
    assert [bool((before[i] != after[i]).any()) for i in range(9)] == [i == 4 for i in range(9)]


@pytest.mark.parametrize("slices", [(0, "cubes"), (0, "plates")])
def test_masked_air_pulls_nothing_down(slices):
    truth = torch.zeros(24, 24, 24)
    truth[8:16] = 0.7
    noisy = torch.where(truth > 0, torch.from_numpy(_rician(truth.numpy(), 0.1)), torch.zeros(()))
    filtered = filter_blocks(noisy, truth.clone(), torch.tensor(0.1), *slices)
    assert abs(float(filtered[8:16].mean()) - 0.7) < 0.01
    assert abs(float(filtered[:4].mean())) < 0.005


def test_chunks_of_masked_air_are_skipped_and_their_neighbours_not(monkeypatch):
    noisy, pilot = torch.rand(40, 12, 12), torch.rand(40, 12, 12)
    noisy[:24] = 0
    pilot[:20] = 0
    whole = filter_blocks(noisy, pilot.clone(), torch.tensor(0.1), 0)
    monkeypatch.setattr(collaborative_filter, "CHUNK", 2 * 12 * 12)
    pieces = filter_blocks(noisy, pilot.clone(), torch.tensor(0.1), 0)
    torch.testing.assert_close(pieces[16:], whole[16:], rtol=0, atol=1e-5)
    assert not pieces[:16].any()


def test_images_too_small_for_blocks_keep_the_pilot():
    noisy, pilot = torch.rand(7, 7, 1), torch.rand(7, 7, 1)
    assert torch.equal(filter_blocks(noisy, pilot.clone(), torch.tensor(0.1), 0), pilot)
