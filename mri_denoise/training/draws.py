"""Draw training samples so that a training is the same for any number of processes and workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from monai.data import CacheDataset
from torch.utils.data import DistributedSampler

from mri_denoise.errors import InputError

_SEEDS = 2**31


class Draw(NamedTuple):
    """One sample to be made.

    Args:
        item: the place of its volume in the list.
        seed: of everything random in its transforms.
    """

    item: int
    seed: int


class WeightedDraws(DistributedSampler[Draw]):
    """Draw volumes by weight, with replacement; each draw has a seed of its own.

    All processes draw the same batches, and each takes its part of every batch. An epoch's draws depend on the seed
    and the number of the epoch alone, so a training that was interrupted goes on with those that it would have had.
    MONAI's trainer tells the epoch to every ``DistributedSampler``.

    Args:
        weights: how often each volume is drawn, relative to the others; 0 or more.
        batch_size: samples in a step of all processes together.
        epoch_length: steps.
        seed: of all draws.
        rank: which process this is, from 0 on.
        processes: how many there are.

    Raises:
        InputError: if a batch cannot be divided evenly among the processes, or no volume can be drawn.

    Examples:
        >>> one = WeightedDraws([1.0, 2.0], batch_size=4, epoch_length=1)
        >>> halves = [WeightedDraws([1.0, 2.0], 4, 1, rank=rank, processes=2) for rank in (0, 1)]
        >>> list(one) == [*halves[0], *halves[1]]
        True
    """

    def __init__(
        self,
        weights: Sequence[float],
        batch_size: int,
        epoch_length: int,
        seed: int = 0,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        shares = np.asarray(weights, dtype=np.float64)
        if not len(shares) or not np.isfinite(shares).all() or shares.min() < 0 or shares.sum() == 0:
            raise InputError("training list: no volume can be drawn; list some, with weights of 0 or more.")
        if batch_size % processes:
            raise InputError(f"batch_size {batch_size}: must be a multiple of the number of processes, {processes}.")
        super().__init__(range(len(shares)), num_replicas=processes, rank=rank, seed=seed)  # type: ignore[arg-type]
        self.shares = shares / shares.sum()
        self.batch_size, self.epoch_length = batch_size, epoch_length

    def __iter__(self) -> Iterator[Draw]:
        """Give this process's draws of the epoch, in order."""
        rng = np.random.default_rng([self.seed, self.epoch])
        size = (self.epoch_length, self.num_replicas, self.batch_size // self.num_replicas)
        items = rng.choice(len(self.shares), size=size, p=self.shares)[:, self.rank].ravel()
        seeds = rng.integers(_SEEDS, size=size)[:, self.rank].ravel()
        return (Draw(int(item), int(seed)) for item, seed in zip(items, seeds, strict=True))

    def __len__(self) -> int:
        """How many draws of the epoch are this process's."""
        return self.epoch_length * self.batch_size // self.num_replicas


class DrawnDataset(CacheDataset):
    """MONAI's ``CacheDataset``, which also takes a :class:`Draw`: the seed decides all that its transforms choose.

    Args are those of ``CacheDataset``.
    """

    def __getitem__(self, index: Any) -> Any:
        """Make a sample from a :class:`Draw`; any other index is as for ``CacheDataset``."""
        if not isinstance(index, Draw):
            return super().__getitem__(index)
        self.transform.set_random_state(seed=index.seed)
        return super().__getitem__(index.item)
