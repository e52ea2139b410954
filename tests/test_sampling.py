"""A sample of a volume comes to all of its rows, columns and slices."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mri_denoise.noise.zero_level import find_zero
from mri_denoise.sampling import sample_step
from mri_denoise.transforms.intensity import robust_range


@given(st.lists(st.integers(1, 300), min_size=3, max_size=3), st.integers(300 * 300, 1_000_000))
def test_each_axis_is_met_everywhere(shape: list[int], most: int) -> None:
    size = math.prod(shape)
    step = sample_step(size, most)
    places = np.unravel_index(np.arange(0, size, step), shape)
    assert all(len(np.unique(place)) == length for place, length in zip(places, shape, strict=True))
    assert len(places[0]) <= 2 * most + 1


@given(st.lists(st.integers(1, 300), min_size=3, max_size=3), st.integers(10_000, 90_000))
def test_the_first_and_the_last_axis_are_met_everywhere_by_fewer(shape: list[int], most: int) -> None:
    size = math.prod(shape)
    places = np.unravel_index(np.arange(0, size, sample_step(size, most)), shape)
    assert all(len(np.unique(places[axis])) == shape[axis] for axis in (0, 2))


@pytest.mark.parametrize("slices", [8, 12, 16, 20])
def test_the_first_slice_does_not_stand_for_all(slices: int) -> None:
    """A padded first slice: with a step of as many voxels as there are slices, the sample would lie in it alone."""
    volume = np.random.default_rng(0).normal(0, 100, (1024, 1024, slices)).astype(np.float32) - 1024
    volume[..., 0] = 0
    assert find_zero(volume).signed
    bright = np.abs(volume)
    lower, width = robust_range(bright, upper=99.9)
    assert lower == 0
    assert width == pytest.approx(np.percentile(bright, 99.9), rel=0.02)
