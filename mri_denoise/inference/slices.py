"""An inferer that denoises volumes slice by slice, each slice with its neighbours."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor

from mri_denoise.inference.collaborative_filter import choose_block_shape, filter_blocks
from mri_denoise.inference.floor import match_floor
from mri_denoise.inference.levels import find_levels
from mri_denoise.inference.limits import hold_near, without_extremes
from mri_denoise.inference.mixed_precision import MixedPrecisionInferer
from mri_denoise.inference.network_run import NetworkRun
from mri_denoise.inference.parts import solid_parts
from mri_denoise.inference.progress import voxel_bar
from mri_denoise.inference.refining import refine_slices
from mri_denoise.inference.slice_plan import SlicePlan, plan_slices
from mri_denoise.networks.refine import RefineNet
from mri_denoise.noise.correlation import noise_correlation
from mri_denoise.threads import one_thread_each

_LEAST_TILE = 256
# pixels: smaller slices get a margin of air, which the first network knows; repeated edges it takes for lines
_LEAST_SIDE = 32


class SliceDenoiseInferer(MixedPrecisionInferer):
    """Denoise volumes slice by slice, with neighbouring slices and the noise level as further channels.

    Args:
        num_slices: odd number of neighbouring slices that the network takes.
        noise_map: whether the network takes the noise level as its last channel.
        batch_size: slices at a time on the CPU, or as many as there are threads; fewer slices of more than 512 x 512
            pixels, so that memory stays the same. A GPU takes as many as its free memory allows. If memory runs out,
            the batch is halved.
        precision: as for :class:`~mri_denoise.inference.mixed_precision.MixedPrecisionInferer`.
        planes: 1 cuts slices along the plane of acquisition. 3 cuts them along all three planes and averages the
            results, which is better and takes three times as long. ``"auto"`` is 3 for volumes of isotropic voxels
            (:func:`~mri_denoise.volume.suits_three_planes`).
        progress: whether a bar on standard error counts the slices.
        tile: longest side of a slice in pixels, at least 256. Larger slices are processed in tiles, with the same
            result (:mod:`mri_denoise.inference.tiling`).
        filter_passes: passes of the collaborative filter that follows, with the network's result as its pilot and the
            correlation that the volume's noise has
            (:func:`~mri_denoise.inference.collaborative_filter.filter_blocks`): 0, 1 or 2. Needs ``noise_map``.
        fine_filter: whether the filter's blocks lie closer together, which is better and takes longer.
        refiner: network that refines what the filter gives (:mod:`mri_denoise.inference.refining`), on the device of
            the volumes; None leaves it.
        refine_precision: that of the refiner, ``precision`` by default. No filter goes over its result.

    Raises:
        ValueError: if a precision is unknown, ``planes`` is not 1, 3 or ``"auto"``, ``tile`` is below 256,
            ``filter_passes`` is not 0, 1 or 2 or lacks ``noise_map``, or ``refiner`` has no filter before it.

    Examples:
        >>> inferer = SliceDenoiseInferer(num_slices=3, precision="float32")
        >>> def average(slices):
        ...     return slices.mean(dim=1, keepdim=True)
        >>> volume = torch.tensor([0.25, 0.5, 0.75, 1.0]).repeat(1, 1, 32, 32, 1)  # four slices
        >>> volume[..., 0, 0, :] = 0  # a slice of one value would be left alone
        >>> inferer(volume, average, slice_axis=2)[0, 0, 1, 1].tolist()
        [0.33, 0.5, 0.75, 0.92]
    """

    def __init__(
        self,
        num_slices: int = 1,
        noise_map: bool = False,
        batch_size: int = 8,
        precision: str = "bfloat16",
        planes: int | str = 1,
        progress: bool = False,
        tile: int = 1024,
        filter_passes: int = 0,
        fine_filter: bool = False,
        refiner: RefineNet | None = None,
        refine_precision: str | None = None,
    ) -> None:
        super().__init__(precision)
        self._refining = MixedPrecisionInferer(refine_precision or precision)
        if tile < _LEAST_TILE:
            raise ValueError(f"tile must be at least {_LEAST_TILE}, got {tile}.")
        if filter_passes not in (0, 1, 2):
            raise ValueError(f"filter_passes must be 0, 1 or 2, got {filter_passes}.")
        if filter_passes and not noise_map:
            raise ValueError("filter_passes needs noise_map: the filter has to know the noise level.")
        if refiner is not None and not filter_passes:
            raise ValueError("a refiner needs filter_passes: it refines the filter's result.")
        if planes not in (1, 3, "auto"):
            raise ValueError(f"planes must be 1, 3 or 'auto', got {planes!r}.")
        self.num_slices, self.noise_map, self.batch_size = num_slices, noise_map, batch_size
        self.planes, self.progress, self.tile = planes, progress, tile
        self.filter_passes, self.fine_filter, self.refiner = filter_passes, fine_filter, refiner

    def __call__(
        self,
        inputs: torch.Tensor,
        network: Callable[..., torch.Tensor],
        *args: Any,
        sigma: torch.Tensor | None = None,
        slice_axis: int | None = None,
        contiguous: bool = True,
        floor: torch.Tensor | None = None,
        coils: torch.Tensor | None = None,
        correlation: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> torch.Tensor:
        """Denoise.

        Args:
            inputs: shape (1, T, X, Y, Z), scaled to about [0, 1]: T volumes, each denoised by itself.
            network: maps (N, ``num_slices`` + ``noise_map``, H, W) to (N, 1, H, W).
            args: more positional arguments of the network.
            sigma: noise level of each volume on the same scale, shape (1, T), or of each voxel, (1, T, X, Y, Z).
                None with ``noise_map`` finds level, floor, coils and correlation in the volumes
                (:func:`~mri_denoise.noise.series.find_series_noise`).
            slice_axis: the axis across the slices, 0, 1 or 2; by default the MetaTensor's affine tells it.
            contiguous: False denoises each slice without its neighbours.
            floor: the sigma that explains the mean of the air by Rice's distribution, divided by ``sigma``, 0 to 1:
                shape (1, T) or (1, T, X, Y, Z). None is 1 (:func:`mri_denoise.inference.floor.match_floor`).
            coils: channels of the non-central chi distribution that explains the mean of the air, shape (1, T). None is
                1, Rice's distribution.
            correlation: of the noise with its neighbours, shape (1, 3, lags). None measures it.
            kwargs: more keyword arguments of the network.

        Returns:
            float32, shape (1, T, X, Y, Z), with the metadata of ``inputs``.

        Raises:
            ValueError: if the batch is not one item.
        """
        if inputs.shape[0] != 1:
            raise ValueError(f"volumes are denoised one item at a time, got a batch of {inputs.shape[0]}.")
        volumes = inputs.as_tensor()[0] if isinstance(inputs, MetaTensor) else inputs[0]
        plan = self._planner(inputs, slice_axis, contiguous)
        run = NetworkRun(
            network=network,
            inferer=self,
            tile=self.tile,
            batch_size=self.batch_size,
            least_side=_LEAST_SIDE,
            args=args,
            kwargs=kwargs,
        )
        out = volumes.to(torch.float32, copy=True)
        if self.noise_map and sigma is None:
            sigma, floor, coils, correlation = find_levels(volumes, plan(tuple(volumes.shape[1:])).slice_axis)
        with one_thread_each(), voxel_bar(volumes.numel(), shown=self.progress) as advance:
            known = None if correlation is None else correlation.reshape(3, -1).cpu().numpy()
            if self.filter_passes and known is None:
                usual = torch.stack([without_extremes(volume)[0] for volume in volumes])
                known = noise_correlation(usual.cpu().numpy(), plan(tuple(volumes.shape[1:])).slice_axis)
            for t, level in enumerate(self._levels(volumes, sigma)):
                volume, extreme = without_extremes(volumes[t])
                if level is not None and floor is not None:
                    channels = 1.0 if coils is None else float(coils[0, t])
                    volume, level = match_floor(volume, level, floor[0, t].to(volume), channels)
                for part in solid_parts(volumes[t]):
                    noisy = volume[part]
                    cut = plan(tuple(noisy.shape))
                    if self._is_too_small(noisy, cut):
                        advance(noisy.numel())
                        continue
                    local = level if level is None or level.ndim == 0 else level[part]
                    out[t][part] = self._denoise_part(noisy, local, cut, known, run, advance)
                out[t][extreme] = volumes[t][extreme].float()
        return MetaTensor(out[None], meta=inputs.meta) if isinstance(inputs, MetaTensor) else out[None]

    def _denoise_part(
        self,
        volume: torch.Tensor,
        level: torch.Tensor | None,
        plan: SlicePlan,
        correlation: np.ndarray | None,
        run: NetworkRun,
        advance: Callable[[float], None],
    ) -> torch.Tensor:
        """Denoise a volume, or a part of one, without blank planes: float32, shape (X, Y, Z) in and out."""
        out = torch.zeros_like(volume, dtype=torch.float32)
        for axis, stack in plan.stacks(volume, level, self.num_slices):
            worth = volume[0].numel() * volume.shape[0] / volume.shape[axis] / len(plan.axes)
            for numbers, slices in run.denoise(stack):
                out.movedim(axis, 0)[numbers] += 1 / len(plan.axes) * slices
                advance(worth * len(numbers))
        if self.filter_passes and level is not None:
            hold_near(out, volume)
            pilot = out if self.refiner is None else out.clone()
            filter_blocks(
                volume,
                out,
                level,
                plan.slice_axis,
                plan.blocks,
                correlation,
                self.filter_passes,
                fine=self.fine_filter,
            )
            if self.refiner is not None:
                self._refine(self.refiner, out, volume, pilot, level, plan)
        return out

    def _refine(
        self,
        refiner: RefineNet,
        filtered: torch.Tensor,
        noisy: torch.Tensor,
        pilot: torch.Tensor,
        level: torch.Tensor,
        plan: SlicePlan,
    ) -> None:
        """Refine the filter's result, all of shape (X, Y, Z), in its place: the mean over the planes of slices."""
        run = NetworkRun(network=refiner, inferer=self._refining, tile=self.tile, batch_size=self.batch_size)
        refined = [filtered if axis == plan.axes[-1] else filtered.clone() for axis in plan.axes]
        for axis, result in zip(plan.axes, refined, strict=True):
            refine_slices(
                result,
                noisy,
                pilot,
                level,
                run,
                axis=axis,
                num_slices=refiner.num_slices,
                contiguous=plan.contiguous,
            )
        for other in refined[:-1]:
            filtered += other
        filtered /= len(refined)

    def _is_too_small(self, volume: torch.Tensor, plan: SlicePlan) -> bool:
        """Whether no block of the filter fits into a part: the network alone makes so small slices worse."""
        if not self.filter_passes:
            return False
        return choose_block_shape(tuple(volume.shape), plan.slice_axis, plan.blocks) is None

    def _planner(
        self, inputs: torch.Tensor, slice_axis: int | None, contiguous: bool
    ) -> Callable[[tuple[int, ...]], SlicePlan]:
        """How parts of some shape are cut; the choices may be numbers or tensors of one."""
        affine = inputs.affine.reshape(-1, 4, 4)[0] if isinstance(inputs, MetaTensor) else None  # collated: a batch
        whole = plan_slices(
            tuple(inputs.shape[2:]),
            affine,
            planes=self.planes,
            slice_axis=None if slice_axis is None else int(slice_axis),
            contiguous=bool(contiguous),
        )
        return partial(
            plan_slices,
            affine=affine,
            planes=len(whole.axes),
            slice_axis=whole.slice_axis,
            contiguous=whole.contiguous,
        )

    def _levels(self, volumes: torch.Tensor, sigma: torch.Tensor | None) -> list[torch.Tensor | None]:
        """The noise level of each volume, on its device; None if the network does not take it."""
        if sigma is None or not self.noise_map:
            return [None] * len(volumes)
        return [level.to(volumes) for level in sigma[0]]
