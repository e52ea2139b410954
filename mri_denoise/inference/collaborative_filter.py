"""Filter a volume once more after the network: collaborative Wiener filtering, with the network's result as the pilot.

A network that sees a few neighbouring slices does not know where the volume looks alike elsewhere. Here each block of
voxels is grouped with the blocks nearby that are most similar to it, and the group is filtered as a whole. This is the
second stage of BM4D (Maggioni et al., 2013, https://doi.org/10.1109/TIP.2012.2210725) with the network in place of its
first stage.

The result may be the pilot of a second pass, which matches blocks by what the first has cleaned, seeks them farther
away and takes more of them.

Blocks have one of three shapes. Cubes are 5 x 5 x 5 voxels, one every 3, and similar blocks are sought up to 4 voxels
away. In the first of two passes they lie one every 4: less to compute, and the borders of its blocks are not those of
the second. Plates, for thick slices, are 5 x 5 x 2 voxels, one every 3 x 3 x 1, sought within 5.5 voxels and the next
two slices. Squares, for slices that do not belong together, are 8 x 8 pixels, one every 3, sought within 8 pixels. If
an axis is too short for one shape, the next shape is taken. In the last pass of a fine filter cubes and plates lie
closer together, one every 2 voxels within slices, and cubes have edges of 4.

The stronger the noise, the more blocks a group needs: 16, and 32 where the noise is strong, with cubes from a voxel
farther away.
"""

from __future__ import annotations

import math
from typing import Literal, Protocol

import numpy as np
import torch
import torch.nn.functional as F

from mri_denoise.inference import native
from mri_denoise.inference.block_matching import BlockAxis, Grid
from mri_denoise.inference.group_design import GROUP, LARGE_GROUP, GroupDesign, design_groups
from mri_denoise.inference.group_filter import GroupFilter
from mri_denoise.inference.native.compiled_filter import CompiledGroupFilter
from mri_denoise.runtime import end_if_told
from mri_denoise.sampling import sample_step

_SAMPLE = 2**20  # voxels of a map of the noise, at most, that tell how strong it is
CHUNK = 2**19  # voxels of the planes whose blocks are matched at a time

BlockShape = Literal["cubes", "plates", "squares"]
BLOCK_AXES: dict[BlockShape, tuple[BlockAxis, BlockAxis]] = {  # within slices, and across them
    "cubes": (BlockAxis(edge=5, step=3, radius=4), BlockAxis(edge=5, step=3, radius=4)),
    "plates": (BlockAxis(edge=5, step=3, radius=5.5), BlockAxis(edge=2, step=1, radius=2.5)),
    "squares": (BlockAxis(edge=8, step=3, radius=8), BlockAxis(edge=1, step=1, radius=0.5)),
}
_FINE_AXES: dict[BlockShape, tuple[BlockAxis, BlockAxis]] = {
    **BLOCK_AXES,
    "cubes": (BlockAxis(edge=4, step=2, radius=4), BlockAxis(edge=4, step=2, radius=4)),
    "plates": (BlockAxis(edge=5, step=2, radius=5.5), BlockAxis(edge=2, step=1, radius=2.5)),
}
_FIRST_STEP = 4  # of the cubes of the first of two passes
STRONG = 0.13  # sigma from which the noise is strong: there larger groups begin to pay on validation volumes


def filter_blocks(
    noisy: torch.Tensor,
    pilot: torch.Tensor,
    sigma: torch.Tensor,
    slice_axis: int,
    blocks: BlockShape = "cubes",
    correlation: np.ndarray | None = None,
    passes: int = 1,
    *,
    fine: bool = False,
) -> torch.Tensor:
    """Filter groups of similar blocks of a noisy volume, with a pilot that tells signal from noise.

    Each block is grouped with the blocks nearby that are most similar to it in the pilot. The group is transformed, by
    the discrete cosine transform in space and by the Walsh-Hadamard transform along the group, and the noisy
    coefficients Y become ``Y P^2 / (P^2 + 1.2 S sigma^2)``. P are the coefficients of the pilot. S is the power of the
    noise in the coefficient: 1 if the noise is white; noise that is correlated in space has more power at low
    frequencies and less at high ones. The factor 1.2 makes the filter somewhat stronger than in BM4D, because the
    pilot's coefficients hold noise of their own. The filtered blocks are put back and averaged, weighted by the inverse
    of the noise that their filter leaves and by a Kaiser window, because the middle of a block is known best.

    The bias of Rician noise at the pilot's signal is subtracted from the noisy volume first. Voxels that are exactly 0
    (masked air) hold no noise: the filter takes the pilot's value there. Blocks of air keep the pilot. Where sigma is
    0, the result is the noisy volume.

    Volumes in float32 are filtered by the compiled library
    (:class:`~mri_denoise.inference.native.compiled_filter.CompiledGroupFilter`) if the installation has it, and by
    PyTorch otherwise, or if the environment variable ``MRI_DENOISE_PLAIN_FILTER`` is set. The compiled one is on the
    CPU, also for volumes on a GPU: there sums have no fixed order in PyTorch, and no two results had the same bits.

    Args:
        noisy: magnitudes, shape (X, Y, Z), scaled to about [0, 1].
        pilot: an estimate of the signal, of the same shape and scale. **Overwritten** by the result.
        sigma: standard deviation of the noise on the same scale: a scalar, or one value for each voxel.
        slice_axis: the axis across the slices, 0, 1 or 2.
        blocks: shape of the blocks: ``"cubes"``, ``"plates"`` for thick slices, ``"squares"`` for single slices.
        correlation: of the noise with its neighbours, shape (3, lags), from 1 at lag 0
            (:func:`~mri_denoise.noise.correlation.noise_correlation`); None is white noise.
        passes: 2 for a second pass over cubes, which are sought a voxel farther away. Plates and squares have one pass.
        fine: whether the blocks of the last pass lie closer together: better, in about three times its time.

    Returns:
        ``pilot``, which holds the result; unchanged if the slices are smaller than 8 x 8.

    Examples:
        >>> _ = torch.manual_seed(0)
        >>> clean = torch.linspace(0.2, 0.8, 24).expand(24, 24, 24)
        >>> noisy = clean + 0.05 * torch.randn(24, 24, 24)
        >>> blurred = F.avg_pool3d(noisy[None, None], 3, 1, 1, count_include_pad=False)[0, 0]
        >>> result = filter_blocks(noisy, blurred, torch.tensor(0.05), slice_axis=2)
        >>> bool((result - clean).std() < 0.2 * (noisy - clean).std())
        True
    """
    shape = tuple(noisy.shape)
    fitting = choose_block_shape(shape, slice_axis, blocks)
    if fitting is None:
        return pilot
    if noisy.device.type != "cpu" and noisy.dtype == torch.float32 and native.available():
        here = noisy.cpu(), pilot.cpu(), sigma.cpu()
        return pilot.copy_(filter_blocks(*here, slice_axis, blocks, correlation, passes, fine=fine))
    order = [0, 1, 2]
    if fitting != "cubes":  # the slice axis first: the compiled filter is made for a long last edge
        order.insert(0, order.pop(slice_axis))
    level = sigma if sigma.ndim == 0 else sigma.permute(order)
    known = None if correlation is None else correlation[order]
    for axes, members in _plan_passes(fitting, passes, fine=fine, strong=_is_strong(sigma)):
        along = [axes[axis == slice_axis] for axis in order]
        design = design_groups(along, [shape[axis] for axis in order], known, members=members)
        _filter_in_chunks(noisy.permute(order), pilot.permute(order), level, design)
    return pilot


def _plan_passes(
    blocks: BlockShape, passes: int, *, fine: bool, strong: bool
) -> list[tuple[tuple[BlockAxis, BlockAxis], int]]:
    """How blocks lie, and how many are a group, in each pass."""
    members = LARGE_GROUP if strong else GROUP
    last = _FINE_AXES[blocks] if fine else BLOCK_AXES[blocks]
    if blocks != "cubes":
        return [(last, members)]
    first = [axis.every(_FIRST_STEP) for axis in BLOCK_AXES[blocks]]
    plans = []
    for number, (within, across) in enumerate([*[first] * (passes - 1), last]):
        farther = number + strong
        plans.append(((within.widen(farther), across.widen(farther)), members))
    return plans


def _is_strong(sigma: torch.Tensor) -> bool:
    """Whether noise is strong, by the median of its level where there is any."""
    level = sigma.reshape(-1)
    level = level[:: sample_step(len(level), _SAMPLE)]
    level = level[level > 0]
    return bool(len(level)) and float(level.median()) >= STRONG


class _Filter(Protocol):
    """What :class:`~mri_denoise.inference.group_filter.GroupFilter` and its compiled form have in common."""

    def add_filtered(
        self, noisy: torch.Tensor, pilot: torch.Tensor, sigma: torch.Tensor, grid: Grid, sums: torch.Tensor
    ) -> None: ...


def _filter_in_chunks(noisy: torch.Tensor, pilot: torch.Tensor, sigma: torch.Tensor, design: GroupDesign) -> None:
    """Overwrite the pilot by the result, some planes at a time, so that little memory is needed."""
    compiled = CompiledGroupFilter.can_run(design, noisy, pilot)
    group_filter: _Filter = CompiledGroupFilter(design) if compiled else GroupFilter(design, noisy)
    shape, edge, reach = noisy.shape, design.edges[0], design.reach[0]
    low, sums = 0, noisy.new_zeros(2, 0, *shape[1:])  # weighted values and weights of the planes from `low` on
    every, *within = (axis.starts(n) for n, axis in zip(shape, design.axes, strict=True))
    count = max(CHUNK // math.prod(shape[1:]), 1)
    for planes in (every[first : first + count] for first in range(0, len(every), count)):
        end_if_told()
        bottom, top = max(planes[0] - reach, 0), min(planes[-1] + edge + reach, shape[0])
        # planes below `bottom` have all their blocks, and no later chunk reads them
        _write_averages(sums[:, : bottom - low], pilot[low:bottom])
        sums = F.pad(sums[:, bottom - low :], (0, 0, 0, 0, 0, top - low - sums.shape[1]))
        low = bottom
        x, p = noisy[low:top].contiguous(), pilot[low:top].contiguous()
        if not x.any():  # nothing but masked air
            continue
        s = sigma if sigma.ndim == 0 else sigma[low:top].contiguous()
        group_filter.add_filtered(x, p, s, [[start - low for start in planes], *within], sums)
    _write_averages(sums, pilot[low:])


def choose_block_shape(shape: tuple[int, ...], slice_axis: int, wanted: BlockShape) -> BlockShape | None:
    """Choose the first block shape that fits into a volume, from the wanted one on.

    Args:
        shape: (X, Y, Z).
        slice_axis: the axis across the slices.
        wanted: the first choice; ``"plates"`` and ``"squares"`` come after ``"cubes"``.

    Returns:
        the shape, or None if none fits.
    """
    names = list(BLOCK_AXES)
    for name in names[names.index(wanted) :]:
        if all(n >= BLOCK_AXES[name][axis == slice_axis].edge for axis, n in enumerate(shape)):
            return name
    return None


def _write_averages(sums: torch.Tensor, pilot: torch.Tensor) -> None:
    """Overwrite the planes of the pilot by their weighted means; voxels without a block stay."""
    values, weights = sums
    torch.where(weights > 0, values / weights.clamp_min(1e-20), pilot, out=pilot)
