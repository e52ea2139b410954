"""Keep the best weights of a training."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import nn

from mri_denoise.io.files import write_beside


class BestWeights:
    """Save a network's weights after each validation that is better than all before.

    The file is replaced as a whole. With its ``state_dict`` among the objects of a checkpoint, a resumed training knows
    what was best before; MONAI's ``CheckpointSaver`` would write over it after the first validation.

    Args:
        network: what is saved, as a state dict.
        path: of the file.
        write: whether this process writes; of several, one does.
    """

    def __init__(self, network: nn.Module, path: Path | str, write: bool = True) -> None:
        self.network, self.path, self.write = network, Path(path), write
        self.best: float | None = None

    def attach(self, engine: Engine) -> None:
        """Look at each validation of an evaluator of MONAI, whose key metric grows with quality."""
        engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Save the weights if the validation is better than all before."""
        score = float(engine.state.metrics[getattr(engine.state, "key_metric_name")])  # noqa: B009 (MONAI adds it)
        if self.best is not None and not (score > self.best or math.isnan(self.best)):
            return
        self.best = score
        if self.write:
            with write_beside(self.path) as partial:
                torch.save(self.network.state_dict(), partial)

    def state_dict(self) -> dict[str, Any]:
        """Give what a checkpoint keeps."""
        return {"best": self.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what a checkpoint kept."""
        self.best = state["best"]
