"""The best weights of a training are kept."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from ignite.engine import Engine

from mri_denoise.training.best import BestWeights


def test_the_weights_of_the_best_validation_stay_and_one_without_a_score_is_none(tmp_path: Path) -> None:
    network, engine = torch.nn.Linear(1, 1), Engine(lambda engine, batch: None)
    best = BestWeights(network, tmp_path / "model.pt")
    kept = []
    for number, score in enumerate((math.nan, 20.0, math.nan, 30.0, 25.0)):
        torch.nn.init.constant_(network.weight, number)
        engine.state.metrics = {"psnr": score}
        setattr(engine.state, "key_metric_name", "psnr")  # noqa: B010 (MONAI adds it)
        best(engine)
        kept.append(float(torch.load(tmp_path / "model.pt", weights_only=True)["weight"]))
    assert kept == [0, 1, 1, 3, 3]
