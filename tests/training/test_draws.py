"""Samples are the same for any number of processes and workers, and each epoch has others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from monai.transforms import Compose, RandGaussianNoised, ToTensord
from torch.utils.data import DataLoader

from mri_denoise.errors import InputError
from mri_denoise.training.draws import DrawnDataset, WeightedDraws


def draws(rank: int = 0, processes: int = 1, epoch: int = 1, **more: Any) -> WeightedDraws:
    sampler = WeightedDraws(
        [1.0, 0.0, 3.0], batch_size=4, epoch_length=50, seed=5, rank=rank, processes=processes, **more
    )
    sampler.set_epoch(epoch)
    return sampler


def test_processes_share_each_batch() -> None:
    whole = list(draws())
    halves = [list(draws(rank, 2)) for rank in (0, 1)]
    steps = [halves[rank][2 * step : 2 * step + 2] for step in range(50) for rank in (0, 1)]
    assert whole == [draw for part in steps for draw in part]
    assert len(draws(1, 2)) == len(halves[1]) == 100


def test_weights_decide_how_often_a_volume_is_drawn() -> None:
    items = [draw.item for draw in draws()]
    assert 1 not in items and items.count(2) == pytest.approx(150, abs=25)


def test_each_epoch_and_each_sample_has_draws_of_its_own() -> None:
    first, again, second = list(draws()), list(draws()), list(draws(epoch=2))
    assert first == again != second
    assert len({draw.seed for draw in first}) == len(first)


def test_a_batch_that_cannot_be_divided_is_refused() -> None:
    with pytest.raises(InputError, match="multiple of the number of processes, 3"):
        draws(processes=3)
    with pytest.raises(InputError, match="no volume"):
        WeightedDraws([0.0], batch_size=1, epoch_length=1)


def test_samples_do_not_depend_on_the_number_of_workers() -> None:
    chain = Compose([RandGaussianNoised("image", prob=1.0), ToTensord("image", track_meta=False)])
    dataset = DrawnDataset([{"image": np.full((1, 4, 4), i, np.float32)} for i in range(3)], chain, progress=False)

    def batches(workers: int) -> torch.Tensor:
        sampler = WeightedDraws([1, 1, 1], batch_size=2, epoch_length=3)
        return torch.stack([b["image"] for b in DataLoader(dataset, 2, sampler=sampler, num_workers=workers)])

    assert torch.equal(batches(0), batches(2)) and len(batches(0).unique()) == batches(0).numel()
