"""What an affine says of voxels and slices."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mri_denoise.volume import (
    Volume,
    find_slice_axis,
    has_thick_slices,
    in_one_space,
    is_isotropic,
    slice_axis_of,
    suits_three_planes,
    voxel_sizes,
)
from tests.affines import affine_of


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("turn", [0.0, 20.0, 44.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_longest_voxel_edge_is_the_slice_axis_however_oblique(axis: int, turn: float, sign: int) -> None:
    sizes = tuple(sign * (5.0 if a == axis else 0.9 + 0.05 * a) for a in range(3))
    for order in itertools.permutations(range(3)):
        affine = affine_of(sizes, order, turn)
        np.testing.assert_allclose(voxel_sizes(affine), np.abs(sizes))
        assert has_thick_slices(affine)
        assert find_slice_axis(affine) == find_slice_axis(torch.from_numpy(affine)) == axis


@pytest.mark.parametrize("turn", [0.0, 20.0])
def test_isotropic_volumes_are_cut_axially(turn: float) -> None:
    for order in itertools.permutations(range(3)):
        for sizes in ((1, 1, 1), (1.0, -1.1, 1.2)):
            assert find_slice_axis(affine_of(sizes, order, turn)) == order.index(2)


def test_slices_are_thick_from_a_quarter_more_than_the_next_edge() -> None:
    assert not has_thick_slices(affine_of((1.24, 1, 1))) and has_thick_slices(affine_of((1.26, 1, 1)))
    # two long axes: neither stands out
    assert not has_thick_slices(affine_of((1, 2, 2.4)))


def test_voxels_are_isotropic_within_a_factor_of_their_shortest_edge() -> None:
    assert is_isotropic(affine_of((1, 1.2, 1.49))) and not is_isotropic(affine_of((1, 1, 1.51)))
    assert not is_isotropic(affine_of((1, 2, 2.4))) and is_isotropic(affine_of((1, 2, 2.4)), tolerance=2.5)


def test_three_planes_need_isotropic_voxels_and_enough_of_them() -> None:
    assert suits_three_planes((32, 40, 50), affine_of((1, 1, 1.4)))
    assert not suits_three_planes((31, 40, 50), affine_of((1, 1, 1.4)))
    assert not suits_three_planes((32, 40, 50), affine_of((1, 1, 1.6)))


@settings(max_examples=200, deadline=None)
@given(
    st.tuples(*[st.integers(24, 90)] * 3),
    st.integers(0, 2),
    st.integers(1, 12),
    st.tuples(*[st.floats(0.3, 8)] * 3),
    st.sampled_from([None, 0, 1, 2]),
)
def test_the_axis_of_few_voxels_is_the_slice_axis(
    shape: tuple[int, ...], axis: int, few: int, sizes: tuple[float, ...], named: int | None
) -> None:
    slab = tuple(few if a == axis else n for a, n in enumerate(shape))
    volume = Volume(array=np.empty((1, *slab), np.float32), affine=affine_of(sizes), slice_axis=named)
    assert find_slice_axis(volume.affine, slab) == slice_axis_of(volume) == axis
    apart = replace(volume, contiguous=False, slice_axis=2)
    assert slice_axis_of(apart) == 2  # slices that do not belong together are never cut


def test_affines_are_compared_by_where_they_put_the_voxels() -> None:
    affine = affine_of((1.0, 1.2, 3.0), (0, 1, 2), 20.0)
    for shift, same in ((0.2, True), (0.3, False), (1.0, False)):
        moved = affine.copy()
        moved[0, 3] += shift
        assert in_one_space(affine, moved, (40, 40, 20)) == same
    assert in_one_space(affine, affine.astype(np.float32), (40, 40, 20))
    flipped = affine @ np.diag([-1.0, 1, 1, 1])
    assert not in_one_space(affine, flipped, (40, 40, 20))
    assert not in_one_space(affine, affine @ np.diag([1.02, 1, 1, 1]), (40, 40, 20))
