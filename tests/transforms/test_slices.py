"""A volume as slices: the axis by the affine, neighbours at the ends, and the way back."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor
from monai.transforms import Compose
from scipy.spatial.transform import Rotation

from mri_denoise.transforms import MiddleSlabd, VolumeToSlices, VolumeToSlicesd
from mri_denoise.transforms.slices import (
    middle_slab,
    slices_to_volume,
    volume_to_slices,
)
from mri_denoise.volume import find_slice_axis, is_isotropic, voxel_sizes


def affine_of(sizes: tuple[float, ...], order: tuple[int, ...] = (0, 1, 2), turn: float = 0.0) -> np.ndarray:
    """Array axis i runs along world axis ``order[i]``, with that voxel size, all turned by so many degrees."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis, (size, world) in enumerate(zip(sizes, order, strict=True)):
        affine[world, axis] = size
    affine[:3, :3] = Rotation.from_euler("xyz", [turn, turn / 2, -turn], degrees=True).as_matrix() @ affine[:3, :3]
    affine[:3, 3] = (10, -20, 30)
    return affine


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("turn", [0.0, 20.0, 44.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_longest_voxel_edge_is_the_slice_axis_however_oblique(axis: int, turn: float, sign: int) -> None:
    sizes = tuple(sign * (5.0 if a == axis else 0.9 + 0.05 * a) for a in range(3))
    for order in itertools.permutations(range(3)):
        affine = affine_of(sizes, order, turn)
        np.testing.assert_allclose(voxel_sizes(affine), np.abs(sizes))
        assert not is_isotropic(affine)
        assert find_slice_axis(affine) == find_slice_axis(torch.from_numpy(affine)) == axis


@pytest.mark.parametrize("turn", [0.0, 20.0])
def test_isotropic_volumes_are_cut_axially(turn: float) -> None:
    for order in itertools.permutations(range(3)):
        for sizes in ((1, 1, 1), (1.0, -1.1, 1.2)):
            assert find_slice_axis(affine_of(sizes, order, turn)) == order.index(2)


def test_anisotropy_begins_at_a_quarter_more() -> None:
    assert is_isotropic(affine_of((1.24, 1, 1))) and not is_isotropic(affine_of((1.26, 1, 1)))
    # two long axes: neither stands out
    assert is_isotropic(affine_of((1, 2, 2.4)))


@settings(max_examples=60, deadline=None)
@given(st.tuples(*[st.integers(1, 7)] * 3), st.integers(0, 2), st.sampled_from([1, 3, 5, 9]), st.integers(0, 2**32 - 1))
def test_slices_hold_their_neighbours_and_go_back(shape: tuple[int, ...], axis: int, count: int, seed: int) -> None:
    volume = torch.from_numpy(np.random.default_rng(seed).random(shape, dtype=np.float32))
    slices = volume_to_slices(volume, axis, count)
    others = [n for a, n in enumerate(shape) if a != axis]
    assert slices.shape == (shape[axis], count, *others)
    for i, c in itertools.product(range(shape[axis]), range(count)):
        j = min(max(i + c - count // 2, 0), shape[axis] - 1)
        assert torch.equal(slices[i, c], volume.select(axis, j))
    assert torch.equal(slices_to_volume(slices, axis), volume)


def test_the_array_version_finds_the_axis_of_a_metatensor_only() -> None:
    volume = torch.rand(1, 3, 4, 5)
    assert VolumeToSlices(3)(MetaTensor(volume, affine=torch.from_numpy(affine_of((5, 1, 1))))).shape == (3, 3, 4, 5)
    assert VolumeToSlices(3)(volume).shape == (5, 3, 3, 4)
    assert VolumeToSlices(1, axis=1)(volume).shape == (4, 1, 3, 5)


@pytest.mark.parametrize("axis", [None, 0, 1, 2])
def test_the_dictionary_version_goes_back_with_its_geometry(axis: int | None) -> None:
    affine = torch.from_numpy(affine_of((1, 6, 1), turn=15))
    image = MetaTensor(torch.rand(1, 3, 4, 5), affine=affine, meta={"filename_or_obj": "x.nii"})
    transform = VolumeToSlicesd("image", 3, axis)
    item = transform({"image": image, "other": 1})
    assert item["image"].shape[0] == image.shape[1 + (1 if axis is None else axis)]
    item["image"] = 2 * item["image"][:, 1:2]  # a network's answer: one channel a slice
    back = transform.inverse(item)
    torch.testing.assert_close(back["image"].as_tensor(), 2 * image.as_tensor())
    assert torch.equal(back["image"].affine, affine) and back["image"].meta["filename_or_obj"] == "x.nii"
    assert set(back) == {"image", "other"}


def test_compose_undoes_slices_of_plain_tensors() -> None:
    volume = torch.rand(1, 3, 4, 5)
    chain = Compose([VolumeToSlicesd("image", 3)])
    assert torch.equal(chain.inverse(chain({"image": volume}))["image"], volume)


@pytest.mark.parametrize(
    ("length", "thickness", "wanted"), [(9, 3, (3, 6)), (8, 3, (2, 5)), (2, 5, (0, 5)), (5, 5, (0, 5))]
)
def test_the_middle_slab(length: int, thickness: int, wanted: tuple[int, int]) -> None:
    for axis in range(3):
        shape = [4, 4, 4]
        shape[axis] = length
        index = middle_slab(shape, axis, thickness)
        assert (index[axis].start, index[axis].stop) == wanted
        assert np.zeros(shape)[index].shape[axis] == min(length, thickness)


def test_middle_slabs_are_cut_across_the_plane_of_acquisition() -> None:
    volume = torch.rand(1, 10, 6, 7)
    item = MiddleSlabd("image", 4)({"image": MetaTensor(volume, affine=torch.from_numpy(affine_of((4, 1, 1))))})
    assert torch.equal(item["image"].as_tensor(), volume[:, 3:7])
