"""Filter groups of similar blocks with the compiled library: the same filter as in ``group_filter.py``."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import torch

from mri_denoise.inference.block_matching import Grid
from mri_denoise.inference.group_design import AIR, LEAST_LEFT, LEAST_POWER, GroupDesign
from mri_denoise.inference.native.library import FilterJob, FilterLibrary, available, installed_library
from mri_denoise.inference.rician_bias import BIAS_TABLE, SNR_STEPS
from mri_denoise.threads import run_in_threads

MAX_EDGE, MAX_REACH, MAX_MEMBERS = 8, 8, 32  # of filter.h
_PLANES = 4  # whose bias a thread subtracts at a time


class CompiledGroupFilter:
    """The compiled form of :class:`~mri_denoise.inference.group_filter.GroupFilter`.

    Both forms group the same blocks, unless two blocks are equally similar, and their results differ by rounding: up
    to 2e-6 of the largest voxel. The result has the same bits for any number of threads. As many threads run as PyTorch
    uses (``torch.get_num_threads``), but none of them spins while it waits, so other work costs little.

    Args:
        design: of the groups; :meth:`can_run` tells whether the library is made for it.
        library: by default that of this installation.
        instruction_set: one of the library's; by default the fastest.

    Raises:
        RuntimeError: if this installation has no library.
    """

    def __init__(
        self, design: GroupDesign, library: FilterLibrary | None = None, instruction_set: str | None = None
    ) -> None:
        library = library or installed_library()
        if library is None:
            raise RuntimeError("the collaborative filter is not compiled here")
        self.library, self.design = library, design
        self.instruction_set = 0 if instruction_set is None else library.instruction_sets.index(instruction_set)
        # of equally similar blocks the nearest is taken
        nearest_first = design.offsets.square().sum(1).argsort(stable=True)
        self.offsets = design.offsets[nearest_first].to(torch.int32).contiguous()
        self.transforms = [torch.from_numpy(transform).float().contiguous() for transform in design.transforms[:3]]
        self.windows = [torch.from_numpy(window).float() for window in design.windows]
        self.spectrum = torch.from_numpy(design.spectrum).float()
        self.bias = BIAS_TABLE.float()

    @staticmethod
    def can_run(design: GroupDesign, noisy: torch.Tensor, pilot: torch.Tensor) -> bool:
        """Whether the compiled filter is available for a design and for volumes of this type on this device."""
        suits = all(volume.device.type == "cpu" and volume.dtype == torch.float32 for volume in (noisy, pilot))
        small = max(design.edges) <= MAX_EDGE and max(design.reach) <= MAX_REACH and design.members <= MAX_MEMBERS
        return suits and small and available()

    def add_filtered(
        self, noisy: torch.Tensor, pilot: torch.Tensor, sigma: torch.Tensor, grid: Grid, sums: torch.Tensor
    ) -> None:
        """Filter the blocks of a grid and add their voxels to the weighted sums.

        The arguments are those of :meth:`~mri_denoise.inference.group_filter.GroupFilter.add_filtered`, in float32 in
        the CPU's memory.

        Raises:
            MemoryError: if there is no memory for a group.
        """
        sigma, unbiased = sigma.float().contiguous(), torch.empty_like(pilot)
        starts = [torch.tensor(along, dtype=torch.int32) for along in grid]
        job = self._job(pilot.shape, starts)
        job.sigma, job.sigma_step = sigma.data_ptr(), int(sigma.ndim > 0)
        job.noisy, job.pilot, job.unbiased = noisy.data_ptr(), pilot.data_ptr(), unbiased.data_ptr()
        job.values, job.weights = sums[0].data_ptr(), sums[1].data_ptr()
        parts = _split(len(pilot), _PLANES)
        run_in_threads(lambda planes: self.library.unbias(job, planes), parts)
        for boxes in self._rounds(grid):
            run_in_threads(lambda box: self.library.filter_box(job, *box), boxes)

    def _job(self, shape: Sequence[int], starts: Sequence[torch.Tensor]) -> FilterJob:
        """Describe the filter to the library; the pointers are those of tensors that the caller and ``self`` hold."""
        design = self.design
        return FilterJob(
            shape=tuple(shape),
            counts=tuple(len(along) for along in starts),
            starts=_pointers(starts),
            offsets=self.offsets.data_ptr(),
            offset_count=len(self.offsets),
            members=design.members,
            edges=design.edges,
            reach=design.reach,
            shrinkage=design.shrinkage,
            air=AIR,
            least_power=LEAST_POWER,
            least_left=LEAST_LEFT,
            transforms=_pointers(self.transforms),
            windows=_pointers(self.windows),
            spectrum=self.spectrum.data_ptr(),
            bias=self.bias.data_ptr(),
            bias_count=len(self.bias),
            bias_steps=SNR_STEPS,
            instruction_set=self.instruction_set,
        )

    def _rounds(self, grid: Grid) -> Iterable[list[tuple[range, range]]]:
        """Cut the grid into boxes along its first two axes, in four rounds: the boxes of a round share no voxel.

        So the order in which a voxel's values are added depends on the grid alone. Blocks of two boxes of a round are a
        box apart, less the last step, which may be short; they reach both ways, and then comes their own edge.
        """
        rows, columns = (
            _split(len(grid[dim]), -(-(2 * self.design.reach[dim] + axis.edge) // axis.step))
            for dim, axis in enumerate(self.design.axes[:2])
        )
        for row, column in itertools.product((0, 1), (0, 1)):
            yield list(itertools.product(rows[row::2], columns[column::2]))


def _split(count: int, size: int) -> list[range]:
    """Split numbers from 0 to ``count`` into ranges of a size; the last may be shorter."""
    return [range(first, min(first + size, count)) for first in range(0, count, size)]


def _pointers(tensors: Sequence[torch.Tensor]) -> tuple[int, ...]:
    """Addresses of the tensors' data."""
    return tuple(tensor.data_ptr() for tensor in tensors)
