"""Refine the result of the collaborative filter by a second, small network, slice by slice."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from mri_denoise.inference.air import Box, signal_box
from mri_denoise.inference.mixed_precision import piece_size
from mri_denoise.inference.slice_plan import SliceStack
from mri_denoise.runtime import end_if_told
from mri_denoise.threads import run_in_threads, threads

# Parts of a correction that are made: RAISED where it takes a pixel farther from the mean of those around it, FADED
# where it takes it nearer, the mean of both where the pixel is that mean. So small things, which a network trained by
# the mean square error fades, keep more of what the filter left them, at the PSNR of one part for all (decision 0018).
RAISED, FADED = 1.0, 0.6
CLEAR = 0.1  # sigma of difference from that mean at which a part is RAISED or FADED
# signal / sigma at which a correction that lowers the signal begins, and from which it is whole, so that dark tissue
# does not become air: _WEAK where sigma is the first of _LEVELS, of the image's scale, and below, _STRONG where it is
# the second and above, linear between
_WEAK, _STRONG = (2.0, 6.0), (0.0, 3.0)
_LEVELS = 0.02, 0.04
# A correction is of detail. Its mean over a block of so many pixels an edge is within the first of so many sigma where
# the network knows the image (0.12 for 99.9 % of blocks of twelve volumes with added noise); beyond the second nothing
# is corrected in the middle of the block. In large even tissue without air the network took 2.5 sigma away. The blocks
# are those of the slice wherever the box begins, for that lies on multiples of eight pixels.
_BLOCK = 8
_SHIFT = 0.2, 0.4
_RUN = 8  # slices that go through the network together, with one box; fewer large ones, more small ones
_PIXELS = 2**20  # of the slices that go through it together, unless a slice has more


def refine_slices(
    filtered: torch.Tensor,
    noisy: torch.Tensor,
    pilot: torch.Tensor,
    sigma: torch.Tensor,
    refine: Callable[[torch.Tensor], torch.Tensor],
    *,
    axis: int,
    num_slices: int,
    contiguous: bool = True,
) -> None:
    """Refine a volume. Air around the head stays as the filter left it.

    Args:
        filtered: result of the filter, shape (X, Y, Z), scaled to about [0, 1]. **Overwritten** by the result.
        noisy: magnitudes, of the same shape and scale.
        pilot: what the filter had as its pilot, of the same shape and scale.
        sigma: standard deviation of the noise on the same scale: a scalar, or one value for each voxel.
        refine: runs :class:`~mri_denoise.networks.refine.RefineNet` on a batch, (N, C, H, W) to (N, 1, H, W).
        axis: the axis across the slices, 0, 1 or 2.
        num_slices: odd number of slices that the network sees.
        contiguous: whether a slice has its neighbours as context, or itself in their place.
    """
    results, slices = filtered.movedim(axis, 0), noisy.movedim(axis, 0)
    level = sigma if sigma.ndim == 0 else sigma.movedim(axis, 0)
    stacks = [
        SliceStack(slices=volume.movedim(axis, 0), sigma=noise, num_slices=count, contiguous=contiguous)
        for volume, noise, count in ((filtered, None, num_slices), (noisy, None, num_slices), (pilot, level, 1))
    ]

    def gather(numbers: torch.Tensor) -> tuple[torch.Tensor, Box, torch.Tensor]:
        box = signal_box(slices[numbers], level if level.ndim == 0 else level[numbers])
        return numbers, box, torch.cat([box.cut(stack.batch(numbers)) for stack in stacks], dim=1)

    def run(gathered: tuple[torch.Tensor, Box, torch.Tensor]) -> tuple[torch.Tensor, Box, torch.Tensor]:
        numbers, box, batch = gathered
        return numbers, box, _correct(batch[:, num_slices // 2], refine(batch)[:, 0], batch[:, -1])

    # which slices share a box must not depend on the number of threads, nor must the result
    runs = torch.arange(len(slices)).split(max(_run_length(slices), num_slices // 2))
    together = threads() if filtered.device.type == "cpu" else 1
    ready: list[tuple[torch.Tensor, Box, torch.Tensor]] = []
    for first in range(0, len(runs), together):
        end_if_told()
        gathered = [gather(numbers) for numbers in runs[first : first + together]]
        _write(results, ready)  # slices are overwritten when those that follow have them as neighbours
        ready = run_in_threads(run, gathered)
    _write(results, ready)


def _run_length(slices: torch.Tensor) -> int:
    """How many slices share a box: by their size alone."""
    piece, pixels = piece_size(slices), slices.shape[1] * slices.shape[2]
    return max(min(-(-_RUN // piece) * piece, _PIXELS // pixels), 1)


def _write(results: torch.Tensor, ready: list[tuple[torch.Tensor, Box, torch.Tensor]]) -> None:
    """Overwrite the boxes of slices that are ready."""
    for numbers, box, inside in ready:
        results[int(numbers[0]) : int(numbers[-1]) + 1, box.rows, box.columns] = inside


def _correct(filtered: torch.Tensor, refined: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Correct slices in part, all of shape (N, H, W)."""
    around = F.avg_pool2d(filtered[:, None], 3, stride=1, padding=1, count_include_pad=False)[:, 0]
    correction = refined - filtered
    away = (filtered - around) * correction.sign() / (CLEAR * sigma).clamp_min(1e-12)
    part = (RAISED + FADED) / 2 + (RAISED - FADED) / 2 * away.clamp_(-1, 1)
    part *= torch.where(correction < 0, _share(filtered, sigma), 1)
    return torch.addcmul(filtered, _trust(part.mul_(correction), sigma), part)


def _trust(correction: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """The part of a correction that is made, 0 to 1, by how far it shifts means over blocks, all of shape (N, H, W)."""
    mean, level = (
        F.avg_pool2d(values[:, None], _BLOCK, ceil_mode=True, count_include_pad=False) for values in (correction, sigma)
    )
    certain, none = _SHIFT
    part = ((none - mean.abs() / level.clamp_min(1e-12)) / (none - certain)).clamp(0, 1)
    rows, columns = correction.shape[1:]
    return F.interpolate(part, scale_factor=_BLOCK, mode="bilinear", align_corners=False)[:, 0, :rows, :columns]


def _share(signal: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """The part of a correction that lowers a signal which is made, 0 to 1, of the signal's shape."""
    strength = ((sigma - _LEVELS[0]) / (_LEVELS[1] - _LEVELS[0])).clamp(0, 1)
    begin, whole = (weak + strength * (strong - weak) for weak, strong in zip(_WEAK, _STRONG, strict=True))
    return ((signal / sigma.clamp_min(1e-12) - begin) / (whole - begin)).clamp(0, 1)
