"""The level of the noise in tissue: right, the same for any number of threads, and bounded for large slices."""

from __future__ import annotations

import numpy as np
import pytest

from mri_denoise.noise.blocks import interpolate_grid
from mri_denoise.noise.cells import Cells, measure_cells
from mri_denoise.noise.detail import cut_detail
from mri_denoise.noise.evidence import Tissue, raise_level
from mri_denoise.noise.model import find_noise
from mri_denoise.noise.simulate import add_rician
from mri_denoise.noise.tissue_levels import measure_levels
from tests.phantoms import head
from tests.threads import pytorch_threads

SHAPE = (96, 120, 12)


@pytest.fixture(scope="module")
def clean() -> np.ndarray:
    return 1000 * head(SHAPE)


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    """A level of 40 at the rim and 100 in the middle, as parallel imaging leaves it."""
    x, y, _ = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    field: np.ndarray = 40 + 60 * np.exp(-((x - 0.1) ** 2 + (y + 0.1) ** 2) / 0.3)
    return field


@pytest.mark.parametrize(("masked", "largest"), [(False, 0.1), (True, 0.15)])
def test_a_map_of_a_head_is_right(clean: np.ndarray, truth: np.ndarray, masked: bool, largest: float) -> None:
    inside = clean > 40
    noisy = add_rician(clean, truth, np.random.default_rng(0)) * (inside if masked else 1)
    found = find_noise(noisy, slice_axis=2, as_map=True).sigma
    assert found.shape == SHAPE and found.dtype == np.float32
    assert np.abs(found[inside] / truth[inside] - 1).mean() < largest


def test_cells_lie_where_they_were_measured_from_whichever_direction_the_network_looks(clean: np.ndarray) -> None:
    """Successive slices are seen as they are, turned and mirrored."""
    x, y, _ = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    noisy = add_rician(clean, np.where(x - 0.5 * y > 0, 80.0, 20.0), np.random.default_rng(0))
    cells = measure_cells(noisy)
    assert cells is not None
    turned = measure_cells(noisy[::-1, ::-1])  # the second slice is seen as this one has it
    assert turned is not None and not np.allclose(cells.level[..., 1], turned.level[::-1, ::-1, 1], equal_nan=True)
    corner = x[4::8, 4::8, 0] - 0.5 * y[4::8, 4::8, 0]
    for place in range(8):
        inside = cells.mean[..., place] > 200
        loud, quiet = (cells.level[..., place][inside & side] for side in (corner > 0.15, corner < -0.15))
        assert np.median(loud) - np.median(quiet) > 0.8


def test_a_few_cells_at_the_end_of_a_head_are_no_jump() -> None:
    shape = (12, 12, 10)
    level, mean = np.full(shape, np.log(40.0)), np.full(shape, 900.0)
    level[..., 9] -= 2
    mean[2:, :, 9] = 0  # 24 cells are left of 144
    cells = Cells(level=level, error=np.full(shape, 0.1), mean=mean, spread=np.exp(level), slices=np.arange(10))
    found = measure_levels(cells, 100)
    assert found is not None and not found.jumps
    mean[:6] = 900.0
    found = measure_levels(cells, 100)
    assert found is not None and found.jumps


def test_a_map_of_even_noise_is_flat(clean: np.ndarray) -> None:
    noisy = add_rician(clean, 40, np.random.default_rng(1))
    found = find_noise(noisy, slice_axis=2, as_map=True).sigma
    assert np.percentile(np.abs(found / 40 - 1)[clean > 40], 95) < 0.12


@pytest.mark.parametrize("shape", [(64, 80, 32), SHAPE])
@pytest.mark.parametrize("levels", [(10, 60), (15, 60), (20, 40)])
def test_a_level_that_jumps_from_slice_to_slice_is_met_in_each(
    shape: tuple[int, int, int], levels: tuple[int, int]
) -> None:
    truth = np.where(np.arange(shape[2]) % 2, *levels[::-1]) * np.ones(shape)
    clean = 1000 * head(shape)
    found = find_noise(add_rician(clean, truth, np.random.default_rng(0)), slice_axis=2)
    quiet, loud = (np.median(found.sigma[clean > 150][truth[clean > 150] == level]) / level for level in levels)
    assert 0.75 < quiet < 1.6 and 0.6 < loud < 1.25


@pytest.mark.parametrize("others", [[4, 5], [0, 3, 6, 9], [6, 7, 8, 9, 10, 11]])
@pytest.mark.parametrize("levels", [(10, 40), (40, 10), (5, 30)])
def test_some_slices_with_another_level_have_their_own(
    clean: np.ndarray, levels: tuple[int, int], others: list[int]
) -> None:
    """As slices that were made up from others, averaged, or stitched from two stations."""
    truth = np.where(np.isin(np.arange(SHAPE[2]), others), levels[1], levels[0]) * np.ones(SHAPE)
    found = find_noise(add_rician(clean, truth, np.random.default_rng(0)), slice_axis=2).sigma
    inside = clean > 150
    for level in levels:
        assert np.median(found[inside & (truth == level)]) == pytest.approx(level, rel=0.25)


@pytest.mark.parametrize("snr", [5, 8, 40])
@pytest.mark.parametrize("edge", [64, 112, 192])
@pytest.mark.parametrize("slices", [1, 2, 6])
def test_the_level_of_even_tissue_is_no_higher_than_its_spread(edge: int, snr: float, slices: int) -> None:
    """Large even tissue without air is nothing that the network knows: it finds up to 1.4 times the level."""
    sigma = 500 / snr
    noisy = add_rician(np.full((edge, edge, slices), 500.0), sigma, np.random.default_rng(0))
    noisy[: edge // 10] = 0  # a band that was cut off
    largest = 1.35 if slices < 6 and snr < 10 else 1.12  # a slice or two may be the noise of many coils
    assert 0.9 < find_noise(noisy, slice_axis=2).level / sigma < largest


def made_cells(level: float, spread: float, mean: np.ndarray, error: float = 0.1) -> Cells:
    shape = (*mean.shape, 3)
    return Cells(
        level=np.full(shape, np.log(level)),
        error=np.full(shape, error),
        mean=np.repeat(mean[..., None], 3, axis=2),
        spread=np.full(shape, spread),
        slices=np.arange(3),
    )


@pytest.mark.parametrize(
    ("signal", "spread", "air", "excess"),
    [
        (500, 10, 0, 1.0),  # as it should be
        (500, 8, 0, 0.9 / 0.8),
        (500, 8, 5, 1.0),  # air tells the level
        (500, 7, 0, 0.9 / 0.7),
        (60, 7, 0, 1.0),  # it may be the noise of many coils
        (60, 8, 0, 0.9 / 0.8),
        (25, 8, 0, 1.0),  # weak magnitudes spread less
    ],
)
def test_a_level_is_lowered_where_magnitudes_spread_less(
    signal: float, spread: float, air: float, excess: float
) -> None:
    mean = np.full((12, 12), float(signal))
    if air:
        mean[:3] = air
    found = measure_levels(made_cells(10, spread, mean), 15)
    assert found is not None
    assert float(np.median(found.inside)) == pytest.approx(10 / excess)
    assert np.exp(found.doubt) == pytest.approx(excess)


def test_a_course_is_a_fifth_steeper_than_its_cells() -> None:
    level = np.log(np.where(np.arange(30) < 15, 40.0, 10.0))[:, None, None] * np.ones((30, 30, 2))
    mean = np.full((30, 30, 2), 900.0)
    cells = Cells(level=level, error=np.full_like(level, 0.01), mean=mean, spread=np.exp(level), slices=np.arange(2))
    found = measure_levels(cells, 100)
    assert found is not None
    assert np.log(found.level[2, 15, 0] / found.level[27, 15, 0]) == pytest.approx(1.2 * np.log(4), rel=0.01)


@pytest.mark.parametrize(
    ("error", "of_air", "signed", "part"),
    [(0.15, False, False, 1.0), (0.3, False, False, 0.75), (0.5, False, False, 0.5), (0.5, True, False, 1.0)],
)
def test_small_slices_are_raised_by_what_the_network_is_not_sure_of(
    error: float, of_air: bool, signed: bool, part: float
) -> None:
    found = measure_levels(made_cells(10, 20, np.full((6, 6), 500.0), error), 100)
    assert found is not None
    noise = np.random.default_rng(0).normal(500, 10, (48, 48, 8))
    blocks = cut_detail(noise.astype(np.float32), (1.0, 1.0), 1.0)
    assert blocks is not None
    tissue = Tissue(blocks=blocks, inside=blocks, found=found, level=np.full(blocks.grid, 10.0))
    before = float(np.median(found.inside))
    raised = raise_level(tissue, 1.1 * before, (48, 48, 8), of_air=of_air, signed=signed)
    assert float(np.median(raised.found.inside)) == pytest.approx(before * 1.1**part)
    assert raised.found.doubt == pytest.approx(part * np.log(1.1))


def test_a_course_goes_on_beyond_the_tissue_that_shows_it() -> None:
    """Dark tissue at the rim has the level of the nearest tissue that tells it, not that of the whole head."""
    slices = np.arange(2)
    level = np.full((20, 20, 2), np.log(10.0))
    level[:10] = np.log(40.0)
    mean = np.where(np.arange(20) < 16, 500.0, 0.0)[None, :, None] * np.ones((20, 20, 2))
    cells = Cells(level=level, error=np.full_like(level, 0.05), mean=mean, spread=np.exp(level), slices=slices)
    found = measure_levels(cells, 100)
    assert found is not None
    assert found.level[2, 19, 0] == pytest.approx(found.level[2, 15, 0])
    assert found.level[2, 19, 0] > 3 * found.level[17, 19, 0]


def test_the_expected_error_grows_as_the_noise_gets_weak(clean: np.ndarray) -> None:
    errors = []
    for level in (60, 0.5):
        cells = measure_cells(add_rician(clean, level, np.random.default_rng(2)))
        assert cells is not None
        found = measure_levels(cells, 150)
        assert found is not None
        errors.append(found.error)
    assert errors[0] < 0.15 < errors[1]


def test_same_bits_for_any_number_of_threads(clean: np.ndarray) -> None:
    noisy = add_rician(clean, 40, np.random.default_rng(3))
    found = []
    for threads in (1, 2, 3):
        with pytorch_threads(threads):
            found.append(measure_cells(noisy))
    assert found[0] is not None
    for other in found[1:]:
        assert other is not None
        assert other.level.tobytes() == found[0].level.tobytes()
        assert other.error.tobytes() == found[0].error.tobytes()


@pytest.mark.parametrize("shape", [(7, 200, 3), (200, 7, 3), (8, 8, 1), (3, 3, 0)])
def test_small_volumes_have_cells_or_none(shape: tuple[int, int, int]) -> None:
    cells = measure_cells(np.random.default_rng(0).rayleigh(10, shape).astype(np.float32))
    assert cells is None or cells.level.shape == (shape[0] // 8, shape[1] // 8, shape[2])


def test_the_level_of_a_small_crop_is_no_multiple_of_the_true_one(clean: np.ndarray) -> None:
    """Without the zeros around small tiles, which the network knows, it is twice as high in every tenth crop."""
    rng, ratios = np.random.default_rng(0), []
    while len(ratios) < 20:
        shape = tuple(int(rng.integers(16, 48)) for _ in range(2))
        first, second = (int(rng.integers(length - edge)) for length, edge in zip(SHAPE, shape, strict=False))
        crop = clean[first : first + shape[0], second : second + shape[1]]
        if crop.mean() < 300:
            continue
        model = find_noise(add_rician(crop, 30, rng), slice_axis=2)
        ratios.append(model.level / 30)
    assert max(ratios) < 1.3 and np.median(ratios) > 0.85


def test_large_slices_are_sampled_in_tiles(clean: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mri_denoise.noise.cells._MOST_VOXELS", 300_000)
    monkeypatch.setattr("mri_denoise.noise.cells._TILE", 256)
    large = np.tile(clean[..., :2], (15, 10, 1))
    noisy = add_rician(large, 40, np.random.default_rng(0))
    cells = measure_cells(noisy)
    assert cells is not None
    measured = np.isfinite(cells.level)
    assert 0 < measured.sum() * 64 <= 300_000
    rows, columns, _ = np.nonzero(measured)
    assert np.ptp(rows) > 90 and np.ptp(columns) > 90  # spread over the slice
    found = measure_levels(cells, 100)
    assert found is not None
    assert np.median(found.inside) == pytest.approx(40, rel=0.15)


def test_interpolation_is_exact_for_planes_and_constant_outside() -> None:
    centres = [np.array([3.5, 11.5, 19.5]), np.array([0.0, 4.0]), np.array([7.0])]
    plane = 2 * centres[0][:, None, None] - centres[1][None, :, None] + 0 * centres[2]
    places = [np.arange(0.0, 24.0), np.arange(-2.0, 7.0), np.arange(3.0)]
    found = interpolate_grid(plane, centres, places)
    expected = 2 * places[0].clip(3.5, 19.5)[:, None, None] - places[1].clip(0, 4)[None, :, None] + np.zeros(3)
    assert found == pytest.approx(expected, abs=1e-5)
