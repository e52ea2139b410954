"""Inferers that MONAI does not have: mixed precision on any device, and volumes slice by slice with neighbours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from monai.data import MetaTensor
from monai.inferers import Inferer
from tqdm import tqdm

from mri_denoise.inference.collaborative_filter import Blocks, filter_blocks
from mri_denoise.inference.floor import match_floor
from mri_denoise.inference.tiling import denoise_in_tiles
from mri_denoise.noise.correlation import noise_correlation
from mri_denoise.volume import find_slice_axis, isotropic_voxels, nearly_isotropic

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
CPU_PIXELS = 2 * 256 * 256  # of all images together, in float32; twice as many in types of 16 bits


class MixedPrecisionInferer(Inferer):
    """Run the network under autocast, with 2D images in ``channels_last`` order.

    MONAI's engines switch mixed precision on for CUDA alone; this does it on whatever device the input is on.

    Args:
        precision: ``"float32"``, ``"bfloat16"`` or ``"float16"``.

    Raises:
        ValueError: if the precision is unknown.
    """

    def __init__(self, precision: str = "bfloat16") -> None:
        super().__init__()
        if precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}.")
        self.dtype = PRECISIONS[precision]

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Shape (N, C, H, W[, D]) in, the network's output in float32 out."""
        plain = inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs
        if plain.ndim == 4:
            plain = plain.contiguous(memory_format=torch.channels_last)
        with torch.autocast(plain.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32):
            pieces = [network(piece, *args, **kwargs).float() for piece in plain.split(self._piece(plain))]
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces)

    def _piece(self, batch: torch.Tensor) -> int:
        """How many images the network is given at once: on a CPU in inference as many as memory is cheap for.

        The C library hands out blocks from 32 MiB on as new pages, which the system has to clear at every layer: that
        took a quarter of the time for 8 slices of 256 x 256 in float32, when a layer of 2 takes 16 MiB.
        """
        if batch.device.type != "cpu" or batch.ndim != 4 or torch.is_grad_enabled():
            return max(len(batch), 1)
        return max(CPU_PIXELS * 4 // (self.dtype.itemsize * batch.shape[2] * batch.shape[3]), 1)


class SliceDenoiseInferer(MixedPrecisionInferer):
    """Denoise volumes slice by slice, each slice with its neighbours and its noise level as further channels.

    Args:
        num_slices: odd number of neighbouring slices that the network takes.
        noise_map: whether the network takes the noise level as its last channel.
        batch_size: slices at a time on the CPU, up to 256 x 256 pixels each; of larger ones fewer, so that memory stays
            the same. A GPU takes as many as its free memory allows. Where memory does not suffice, the batch is halved.
        precision: see :class:`MixedPrecisionInferer`.
        planes: 1 cuts slices along the plane of acquisition; 3 along all three planes and averages, which is better and
            takes three times as long; ``"auto"`` is 3 where voxels are nearly isotropic (:func:`nearly_isotropic`).
        progress: whether a bar is shown.
        tile: slices with a longer side, in pixels, are done in tiles (:mod:`mri_denoise.inference.tiling`), with
            the same result.
        filtered: whether like blocks of the noisy volume are filtered together, with the network's result as the pilot
            (:func:`mri_denoise.inference.collaborative_filter.filter_blocks`), by the correlation that the volume's
            noise has (:func:`mri_denoise.noise.correlation.noise_correlation`). Needs ``noise_map``.

    Raises:
        ValueError: if ``planes`` is neither 1, 3 nor ``"auto"``, ``tile`` is below 256, or ``filtered`` lacks the noise
            level.
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
        filtered: bool = False,
    ) -> None:
        super().__init__(precision)
        if tile < 256:
            raise ValueError(f"tile must be at least 256, got {tile}.")
        if filtered and not noise_map:
            raise ValueError("filtered needs noise_map: the filter has to know the noise level.")
        if planes not in (1, 3, "auto"):
            raise ValueError(f"planes must be 1, 3 or 'auto', got {planes!r}.")
        self.planes = planes
        self.num_slices, self.noise_map, self.batch_size = num_slices, noise_map, batch_size
        self.progress, self.tile, self.filtered = progress, tile, filtered

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
            inputs: shape (1, T, X, Y, Z) on the scale [0, 1]: T volumes, each denoised by itself.
            network: takes (N, ``num_slices`` + ``noise_map``, H, W) and gives (N, 1, H, W).
            args: more positional arguments of the network.
            sigma: noise level of each volume on the same scale: shape (1, T) or, different at each position,
                (1, T, X, Y, Z). Needed if ``noise_map``.
            slice_axis: 0, 1 or 2; None for the plane of acquisition by the MetaTensor's affine.
            contiguous: False denoises each slice without its neighbours.
            floor: sigma that explains the mean of no signal by Rice's law, by ``sigma``: shape (1, T) or (1, T, X, Y,
                Z); None is 1, Rice's law with ``sigma`` itself (:func:`mri_denoise.inference.floor.match_floor`).
            coils: of the noncentral chi law that explains the mean of no signal, shape (1, T); None is 1, Rice's law.
            correlation: of the noise with its neighbours, shape (1, 3, lags); None measures it.
            kwargs: more keyword arguments of the network.

        Returns:
            shape (1, T, X, Y, Z), with the metadata of ``inputs``.

        Raises:
            ValueError: if the batch is not one item, or the noise level is needed and missing.
        """
        if inputs.shape[0] != 1:
            raise ValueError(f"volumes are denoised one item at a time, got a batch of {inputs.shape[0]}.")
        if self.noise_map and sigma is None:
            raise ValueError("this network takes the noise level as an input; give sigma.")
        affine = inputs.affine.reshape(-1, 4, 4)[0] if isinstance(inputs, MetaTensor) else None  # collated: a batch
        if slice_axis is None:
            slice_axis = 2 if affine is None else find_slice_axis(affine)
        slice_axis, contiguous = int(slice_axis), bool(contiguous)
        plain = inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs
        axes = self._axes(slice_axis, tuple(plain.shape[2:]), affine, contiguous)
        blocks: Blocks = "cubes" if affine is None or isotropic_voxels(affine) else "plates"
        if not contiguous:
            blocks = "squares"
        filtered = self.filtered and sigma is not None
        known = None if correlation is None else correlation.reshape(3, -1).cpu().numpy()
        if filtered and known is None:
            known = noise_correlation(plain[0].cpu().numpy(), slice_axis)
        out = torch.zeros_like(plain, dtype=torch.float32)
        total = plain.shape[1] * sum(plain.shape[2 + axis] for axis in axes)

        def run(batch: torch.Tensor) -> torch.Tensor:
            if max(batch.shape[2:]) > self.tile:
                return denoise_in_tiles(whole, network, batch, self.tile)
            return whole(batch)

        def whole(batch: torch.Tensor) -> torch.Tensor:
            return MixedPrecisionInferer.__call__(self, batch, network, *args, **kwargs)

        with tqdm(total=total, unit="slice", leave=False, disable=not self.progress) as bar:
            for t, volume in enumerate(plain[0]):
                level = None if sigma is None else sigma[0, t].to(volume)
                if level is not None and floor is not None:
                    channels = 1.0 if coils is None else float(coils[0, t])
                    volume, level = match_floor(volume, level, floor[0, t].to(volume), channels)
                for axis in axes:
                    self._add_slices(out[0, t], volume, level, axis, contiguous, 1 / len(axes), run, bar)
                if filtered and level is not None:
                    filter_blocks(volume, out[0, t], level, slice_axis, blocks, known)
        return MetaTensor(out, meta=inputs.meta) if isinstance(inputs, MetaTensor) else out

    def _axes(
        self, slice_axis: int, shape: tuple[int, ...], affine: torch.Tensor | None, contiguous: bool
    ) -> tuple[int, ...]:
        """The axes across which slices are cut: one, or all three for an average."""
        if self.planes == "auto":
            three = affine is not None and nearly_isotropic(shape, affine)
        else:
            three = self.planes == 3 and min(shape) > 1
        return (0, 1, 2) if three and contiguous else (slice_axis,)

    def _add_slices(
        self,
        out: torch.Tensor,
        volume: torch.Tensor,
        level: torch.Tensor | None,
        axis: int,
        contiguous: bool,
        share: float,
        run: Callable[[torch.Tensor], torch.Tensor],
        bar: tqdm,
    ) -> None:
        """Add a share of the denoised slices across an axis; fewer at a time where memory does not suffice."""
        result, stack = out.movedim(axis, 0), volume.movedim(axis, 0)
        todo = self._occupied(volume, axis, contiguous)
        bar.update(stack.shape[0] - len(todo))
        size = _batch_size(self.batch_size, stack)
        while len(todo):
            chosen = todo[:size]
            batch = self._batch(stack, level, axis, chosen, contiguous)
            try:
                slices = run(batch)
            except torch.OutOfMemoryError:
                if len(chosen) == 1:
                    raise
                size = len(chosen) // 2
                continue
            result[chosen] += share * slices[:, 0]
            todo = todo[size:]
            bar.update(len(chosen))

    def _occupied(self, volume: torch.Tensor, axis: int, contiguous: bool) -> torch.Tensor:
        """Numbers of the slices that are not 0 everywhere, and of those within the network's reach of them, at least 1.

        The others stay 0: masked air holds no noise, and ``RestoreBackgroundd`` would take out what a network puts
            there.
        """
        first, second = (a for a in (2, 1, 0) if a != axis)
        full = (volume != 0).any(dim=first).any(dim=second).cpu()
        reach = max(self.num_slices // 2, 1) if contiguous else 1
        near = F.max_pool1d(full[None].float(), 2 * reach + 1, stride=1, padding=reach)[0]
        return near.nonzero()[:, 0]

    def _batch(
        self, stack: torch.Tensor, level: torch.Tensor | None, axis: int, chosen: torch.Tensor, contiguous: bool
    ) -> torch.Tensor:
        """The ``chosen`` slices with all their channels: shape (n, channels, H, W)."""
        reach = self.num_slices // 2 if contiguous else 0
        offsets = torch.arange(-reach, reach + 1)
        index = (chosen[:, None] + offsets).clamp(0, stack.shape[0] - 1)
        batch = stack[index.to(stack.device)].expand(-1, self.num_slices, -1, -1)
        if not self.noise_map or level is None:
            return batch
        if level.ndim == 0:
            maps = level.expand(len(chosen), *stack.shape[1:])
        else:
            maps = level.movedim(axis, 0)[chosen.to(level.device)]
        return torch.cat((batch, maps[:, None]), dim=1)


def _batch_size(wanted: int, stack: torch.Tensor) -> int:
    """How many slices of a stack (N, H, W) at a time: see :class:`SliceDenoiseInferer`."""
    pixels = stack.shape[1] * stack.shape[2]
    if stack.device.type == "cuda":
        # about 64 feature maps of a slice in float32 are alive at a time; half of the memory is left to others
        return max(1, min(16 * wanted, torch.cuda.mem_get_info(stack.device)[0] // 2 // (pixels * 64 * 4)))
    return max(1, min(wanted, wanted * 256**2 // pixels))
