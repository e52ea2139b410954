"""Slices with their neighbours: the ones inside a volume, and at its ends."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mri_denoise.inference.slice_plan import gather_slices


@settings(max_examples=60, deadline=None)
@given(st.tuples(*[st.integers(1, 7)] * 3), st.integers(0, 2), st.sampled_from([1, 3, 5, 9]), st.integers(0, 2**32 - 1))
def test_slices_hold_their_neighbours(shape: tuple[int, ...], axis: int, count: int, seed: int) -> None:
    volume = torch.from_numpy(np.random.default_rng(seed).random(shape, dtype=np.float32))
    numbers = torch.arange(shape[axis]).flip(0)
    slices = gather_slices(volume.movedim(axis, 0), numbers, count)
    others = [n for a, n in enumerate(shape) if a != axis]
    assert slices.shape == (shape[axis], count, *others)
    for (row, i), c in itertools.product(enumerate(numbers.tolist()), range(count)):
        j = min(max(i + c - count // 2, 0), shape[axis] - 1)
        assert torch.equal(slices[row, c], volume.select(axis, j))
    assert torch.equal(slices[:, count // 2].flip(0).movedim(0, axis), volume)
