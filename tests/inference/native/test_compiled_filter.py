"""The compiled filter against the PyTorch form."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from mri_denoise.inference.block_matching import BlockAxis
from mri_denoise.inference.collaborative_filter import BLOCK_AXES
from mri_denoise.inference.group_design import GroupDesign, design_groups
from mri_denoise.inference.group_filter import GroupFilter
from mri_denoise.inference.native.compiled_filter import CompiledGroupFilter
from mri_denoise.inference.native.library import FilterLibrary
from tests.threads import pytorch_threads

TOLERANCE = 2e-6  # of the largest voxel
LAGS = np.array([[1, 0.4, 0.1], [1, 0.7, -0.1], [1, 0.2, 0]])


def _axes(blocks: str) -> list[BlockAxis]:
    """Axes of a shape that ships, the slice axis first; or of others, for a second pass and for none in use."""
    if blocks in BLOCK_AXES:
        within, across = BLOCK_AXES[blocks]
        return [across, within, within]
    if blocks == "far cubes":
        return [BlockAxis(edge=5, step=3, radius=5)] * 3
    return [
        BlockAxis(edge=3, step=2, radius=2),
        BlockAxis(edge=4, step=1, radius=8),
        BlockAxis(edge=7, step=5, radius=3),
    ]


def _images(shape: tuple[int, ...], sigma: float = 0.08, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """A noisy volume and a pilot with a tenth of its noise: no two blocks are equally similar."""
    rng = np.random.default_rng(seed)
    smooth = gaussian_filter(rng.normal(size=shape), 2)
    clean = 0.2 + 0.8 * (smooth - smooth.min()) / max(np.ptp(smooth), 1e-6)
    noise = rng.normal(0, sigma, shape)
    return tuple(torch.from_numpy((clean + part * noise).astype(np.float32)) for part in (1, 0.1))


def _random(shape: tuple[int, ...]) -> torch.Tensor:
    """The same numbers each time: of some in a hundred two blocks are equally similar, and the forms choose another."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def _result(
    group_filter: GroupFilter | CompiledGroupFilter,
    design: GroupDesign,
    noisy: torch.Tensor,
    pilot: torch.Tensor,
    sigma: torch.Tensor,
) -> torch.Tensor:
    """Weighted means, and the weights."""
    sums = torch.zeros(2, *noisy.shape)
    grid = [axis.starts(n) for n, axis in zip(noisy.shape, design.axes, strict=True)]
    group_filter.add_filtered(noisy, pilot, sigma, grid, sums)
    return torch.stack((torch.where(sums[1] > 0, sums[0] / sums[1].clamp_min(1e-20), pilot), sums[1]))


def _assert_forms_agree(
    library: FilterLibrary,
    design: GroupDesign,
    noisy: torch.Tensor,
    pilot: torch.Tensor,
    sigma: torch.Tensor,
    tolerance: float = TOLERANCE,
) -> None:
    wanted = _result(GroupFilter(design, noisy), design, noisy, pilot, sigma)
    for name in library.instruction_sets:
        got = _result(CompiledGroupFilter(design, library, name), design, noisy, pilot, sigma)
        torch.testing.assert_close(
            got[0],
            wanted[0],
            rtol=0,
            atol=tolerance * float(noisy.max()),
            msg=lambda text, name=name: f"{name}: {text}",
        )
        assert torch.equal(got[1] > 0, wanted[1] > 0)  # the same blocks are air


@pytest.mark.parametrize("correlation", [None, LAGS])
@pytest.mark.parametrize("level", ["number", "map"])
@pytest.mark.parametrize(
    ("blocks", "shape", "members"),
    [
        ("cubes", (21, 18, 70), 16),  # longer than a line of blocks
        ("cubes", (5, 6, 7), 16),  # fewer blocks within reach than a group has
        ("far cubes", (19, 17, 20), 32),
        ("plates", (7, 23, 20), 16),
        ("plates", (7, 23, 20), 32),
        ("squares", (3, 26, 31), 16),
        ("squares", (3, 26, 31), 32),
        ("squares", (1, 8, 8), 16),
        ("others", (9, 17, 23), 9),
        ("others", (9, 17, 23), 32),
    ],
)
def test_both_forms_agree(library, blocks, shape, members, level, correlation):
    axes = _axes(blocks)
    noisy, pilot = _images(shape)
    sigma = torch.tensor(0.08) if level == "number" else 0.05 + 0.05 * _random(shape)
    _assert_forms_agree(library, design_groups(axes, shape, correlation, members=members), noisy, pilot, sigma)


@pytest.mark.parametrize("blocks", ["cubes", "plates", "squares"])
def test_both_forms_agree_where_there_is_masked_air(library, blocks):
    shape = (16, 30, 28)
    noisy, pilot = _images(shape)
    inside = (torch.from_numpy(np.indices(shape)) - torch.tensor([8, 15, 14])[:, None, None, None]).square().sum(0) < 99
    noisy[~inside], pilot[~inside] = 0, 0
    pilot += 1e-3 * _random(shape)  # a network's answer in air: otherwise all its blocks are equally similar
    _assert_forms_agree(library, design_groups(_axes(blocks), shape), noisy, pilot, torch.tensor(0.2))


@settings(max_examples=40, deadline=None)
@given(
    sides=st.tuples(*[st.integers(0, 14)] * 3),
    blocks=st.sampled_from(["cubes", "plates", "squares", "others"]),
    members=st.integers(1, 40),
    sigma=st.sampled_from([0.0, 1e-4, 0.1]),
    seed=st.integers(0, 9),
)
def test_both_forms_agree_on_any_shape(library, sides, blocks, members, sigma, seed):
    axes = _axes(blocks)
    shape = tuple(axis.edge + side for axis, side in zip(axes, sides, strict=True))
    noisy, pilot = _images(shape, sigma, seed)
    design = design_groups(axes, shape, members=members)
    # either form is up to 2.2e-6 from the same in float64 for some of 400 random shapes, more in groups of 32
    _assert_forms_agree(library, design, noisy, pilot, torch.tensor(sigma), tolerance=4 * TOLERANCE)


@pytest.mark.parametrize(
    ("blocks", "shape"), [("cubes", (61, 64, 20)), ("plates", (30, 64, 20)), ("others", (33, 60, 9))]
)
def test_any_number_of_threads_gives_the_same_bits(library, blocks, shape):
    design = design_groups(_axes(blocks), shape)
    noisy, pilot = _images(shape)
    results = []
    for threads, _ in itertools.product((1, 2, 3, 8), range(2)):
        with pytorch_threads(threads):
            results.append(_result(CompiledGroupFilter(design, library), design, noisy, pilot, torch.tensor(0.08)))
    assert all(torch.equal(result, results[0]) for result in results)


@pytest.mark.parametrize("blocks", ["cubes", "plates", "squares", "others"])
def test_the_boxes_of_a_round_share_no_voxel(library, blocks):
    shape = (70, 65, 30)
    design = design_groups(_axes(blocks), shape)
    grid = [axis.starts(n) for n, axis in zip(shape, design.axes, strict=True)]
    seen = np.zeros([len(along) for along in grid[:2]], int)
    for boxes in CompiledGroupFilter(design, library)._rounds(grid):
        touched = np.zeros(shape[:2], int)
        for rows, columns in boxes:
            seen[rows.start : rows.stop, columns.start : columns.stop] += 1
            touched[tuple(_reached(design, grid, dim, part) for dim, part in enumerate((rows, columns)))] += 1
        assert touched.max() == 1
    assert (seen == 1).all()


def _reached(design: GroupDesign, grid: list[list[int]], dim: int, part: range) -> slice:
    """Voxels along an axis that the blocks of a part of the grid can reach."""
    low = grid[dim][part.start] - design.reach[dim]
    return slice(max(low, 0), grid[dim][part.stop - 1] + design.reach[dim] + design.edges[dim])


def test_broken_voxels_stay_where_they_are(library):
    shape = (24, 24, 40)
    design = design_groups(_axes("cubes"), shape)
    noisy, pilot = _images(shape)
    clean = _result(CompiledGroupFilter(design, library), design, noisy, pilot, torch.tensor(0.08))[0]
    for value in (np.nan, np.inf, -np.inf, 3e38):
        noisy[3, 3, 3] = pilot[3, 3, 3] = value
        got = _result(CompiledGroupFilter(design, library), design, noisy, pilot, torch.tensor(0.08))[0]
        assert torch.equal(got[:, :, 20:], clean[:, :, 20:])  # beyond the reach of a group with that voxel


def test_it_runs_on_float32_in_memory_within_its_sizes(library, monkeypatch):
    monkeypatch.setattr("mri_denoise.inference.native.compiled_filter.available", lambda: True)
    shape = (20, 20, 20)
    image, cubes = _random(shape), design_groups(_axes("cubes"), shape)
    assert CompiledGroupFilter.can_run(cubes, image, image)
    assert not CompiledGroupFilter.can_run(cubes, image.double(), image)
    assert not CompiledGroupFilter.can_run(cubes, image, image.half())
    assert not CompiledGroupFilter.can_run(cubes, image, image.to("meta"))
    for axis, members in ((BlockAxis(edge=9, step=3, radius=3), 16), (BlockAxis(edge=5, step=3, radius=9), 16)):
        assert not CompiledGroupFilter.can_run(design_groups([axis] * 3, shape, members=members), image, image)
    many = design_groups([BlockAxis(edge=5, step=3, radius=6)] * 3, shape, members=64)
    assert many.members == 64 and not CompiledGroupFilter.can_run(many, image, image)
