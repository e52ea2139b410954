"""Pictures of what a network makes of validation volumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events

from mri_denoise.evaluation.metrics import psnr
from mri_denoise.report.figures import LabelledPair, comparison_rows
from mri_denoise.volume import find_slice_axis, voxel_sizes

_ROWS = 3
_TITLES = ("Noisy", "Denoised", "Reference", "Absolute residual")


class ValidationPictures:
    """Draw the middle slice of some validation volumes after each validation: noisy, denoised, reference, residual.

    Args:
        folder: receives ``epoch_NNNN.png``; epoch 0 is the network before training.
        trainer: whose epoch names the file.
        names: of the validation items, in their order.
    """

    def __init__(self, folder: Path, trainer: Engine, names: list[str]) -> None:
        self.folder, self.trainer, self.names = folder, trainer, names
        places = np.linspace(0, len(names) - 1, min(_ROWS, len(names))).round()
        self.wanted = {int(place) for place in places}
        self.rows: list[LabelledPair] = []

    def attach(self, evaluator: Engine) -> None:
        """Draw after each run of an evaluator of MONAI with a batch size of 1."""
        evaluator.add_event_handler(Events.STARTED, lambda engine: self.rows.clear())
        evaluator.add_event_handler(Events.ITERATION_COMPLETED, self._look)
        evaluator.add_event_handler(Events.COMPLETED, self._draw)

    def _look(self, engine: Engine) -> None:
        number = (engine.state.iteration - 1) % len(self.names)
        if number in self.wanted:
            output: Any = engine.state.output
            self.rows.append(_row(self.names[number], output[0]))

    def _draw(self, engine: Engine) -> None:
        path = self.folder / f"epoch_{self.trainer.state.epoch:04d}.png"
        comparison_rows(self.rows, path, titles=_TITLES)


def _row(name: str, item: dict[str, Any]) -> LabelledPair:
    """The middle slice of an item with the keys image, pred and label, shape (1, X, Y, Z) or (1, H, W)."""
    image = item["image"]
    affine = np.eye(4) if not hasattr(image, "affine") else image.affine.cpu().numpy()
    noisy, denoised, label = (_plain(item[key]) for key in ("image", "pred", "label"))
    words = f"{name}: PSNR {psnr(label, noisy, peak=1.0):.2f} -> {psnr(label, denoised, peak=1.0):.2f} dB"
    if noisy.ndim == 2:
        return LabelledPair(label=words, noisy=noisy, denoised=denoised, reference=label)
    axis = find_slice_axis(affine)
    spacing = np.delete(voxel_sizes(affine), axis)[::-1]  # the slice is turned, so that the front is on top
    before, after, truth = (np.rot90(array.take(array.shape[axis] // 2, axis)) for array in (noisy, denoised, label))
    edges = (float(spacing[0]), float(spacing[1]))
    return LabelledPair(label=words, noisy=before, denoised=after, reference=truth, spacing=edges)


def _plain(image: torch.Tensor) -> np.ndarray:
    return torch.as_tensor(image).detach().float().cpu().numpy()[0]
