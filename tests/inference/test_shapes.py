"""Whatever the shape of a volume, the shipped model does not make it worse than it was."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mri_denoise.denoiser import Denoiser
from mri_denoise.volume import Volume
from tests.phantoms import head

SIZE = (60, 72, 56)
LEVEL = 50.0


@pytest.fixture(scope="module")
def denoiser() -> Denoiser:
    return Denoiser.load("rician", device="cpu")


def error(values: np.ndarray, truth: np.ndarray) -> float:
    return float(np.square(values - truth).mean())


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2),
    st.integers(1, 12),
    st.tuples(*[st.integers(20, 44)] * 3),
    st.tuples(*[st.floats(0.4, 6)] * 3),
    st.integers(0, 2**32 - 1),
)
def test_a_slab_is_never_worse_than_it_was(
    denoiser: Denoiser, axis: int, few: int, others: tuple[int, ...], sizes: tuple[float, ...], seed: int
) -> None:
    shape = tuple(few if a == axis else n for a, n in enumerate(others))
    place = tuple(slice((whole - n) // 2, (whole - n) // 2 + n) for whole, n in zip(SIZE, shape, strict=True))
    truth = 1000 * head(SIZE)[place]
    rng = np.random.default_rng(seed)
    noisy = np.hypot(truth + rng.normal(0, LEVEL, shape), rng.normal(0, LEVEL, shape)).astype(np.float32)
    volume = Volume(array=noisy[None], affine=np.diag([*sizes, 1.0]))
    assert error(denoiser(volume, sigma=LEVEL).array[0], truth) < error(noisy, truth)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    st.tuples(*[st.integers(1, 12), st.integers(8, 44), st.integers(8, 44)]),
    st.permutations(range(3)),
    st.tuples(*[st.floats(0.4, 6)] * 3),
    st.integers(0, 2**32 - 1),
)
def test_nor_is_a_crop_whose_noise_is_estimated(
    denoiser: Denoiser, sides: tuple[int, ...], order: list[int], sizes: tuple[float, ...], seed: int
) -> None:
    shape = tuple(sides[axis] for axis in order)
    rng = np.random.default_rng(seed)
    starts = [int(rng.integers(0, whole - n + 1)) for whole, n in zip(SIZE, shape, strict=True)]
    truth = 1000 * head(SIZE)[tuple(slice(start, start + n) for start, n in zip(starts, shape, strict=True))]
    noisy = np.hypot(truth + rng.normal(0, LEVEL, shape), rng.normal(0, LEVEL, shape)).astype(np.float32)
    result = denoiser(Volume(array=noisy[None], affine=np.diag([*sizes, 1.0])), quality="fast").array[0]
    assert error(result, truth) <= 1.01 * error(noisy, truth)


@pytest.mark.parametrize("shape", [(1, 40, 5), (3, 1, 5), (3, 40, 3), (5, 5, 5), (4, 6, 6), (1, 1, 30), (2, 2, 2)])
def test_nor_are_strips_and_blocks_of_a_few_voxels(denoiser: Denoiser, shape: tuple[int, ...]) -> None:
    place = tuple(slice((whole - n) // 2, (whole - n) // 2 + n) for whole, n in zip(SIZE, shape, strict=True))
    truth = 1000 * head(SIZE)[place]
    before, after = [], []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        noisy = np.hypot(truth + rng.normal(0, LEVEL, shape), rng.normal(0, LEVEL, shape)).astype(np.float32)
        result = denoiser(Volume(array=noisy[None], affine=np.eye(4)), sigma=LEVEL).array[0]
        before.append(error(noisy, truth)), after.append(error(result, truth))
    assert np.mean(after) <= np.mean(before)


@pytest.mark.parametrize("shape", [(7, 7, 1), (5, 5, 1), (6, 4, 3), (4, 40, 1)])
def test_slices_too_small_for_the_filter_stay_bit_for_bit(denoiser: Denoiser, shape: tuple[int, ...]) -> None:
    noisy = np.random.default_rng(0).rayleigh(LEVEL, shape).astype(np.float32)
    volume = Volume(array=noisy[None], affine=np.diag([1, 1.2, 3, 1]))
    assert denoiser(volume, sigma=LEVEL).array[0].tobytes() == noisy.tobytes()
    assert denoiser(volume, sigma=LEVEL, tta=True).array[0].tobytes() == noisy.tobytes()
