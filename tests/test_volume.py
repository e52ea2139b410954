"""What an affine says of voxels and slices."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from mri_denoise.volume import find_slice_axis, has_thick_slices, is_isotropic, suits_three_planes, voxel_sizes
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
