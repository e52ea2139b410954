"""Reading ahead: the next image is read and its noise measured while the network works on the present one."""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import Executor, Future, wait
from typing import Any

from monai.transforms import Compose

from mri_denoise.transforms import EstimateNoised, LoadVolumed

Item = Mapping[Hashable, Any]


class ReadAhead:
    """A preprocessing chain in whose place it stands, with the reading and measuring of one item done beforehand.

    Only the first steps of the chain (``LoadVolumed``, ``EstimateNoised``) run in the background: they add one image to
    what is in memory, and the rest would add another to save a few hundredths of a second.

    Args:
        chain: the preprocessing of a bundle.
        background: where reading is done, one job after another in the order in which they are handed in. The same one
            writes results, so that nothing is read while a result still waits to be written, and held.
    """

    def __init__(self, chain: Compose, background: Executor) -> None:
        self._chain, self._background = chain, background
        ahead = [isinstance(step, LoadVolumed | EstimateNoised) for step in chain.transforms]
        self._steps = [*ahead, False].index(False)
        self._plan: Sequence[Item] = ()
        self._waiting: tuple[Item, Future[tuple[dict[Hashable, Any], float]]] | None = None

    def plan(self, items: Sequence[Item]) -> None:
        """Say which items will be asked for, in this order."""
        self._plan = items

    def __call__(self, item: Item) -> dict[Hashable, Any]:
        """What the chain gives for an item; the next one of the plan is begun.

        Raises:
            Exception: whatever the chain raises for this item, now and not when it was read.
        """
        if self._waiting is None or self._waiting[0] != item:
            self.abandon()
            self._begin(item)
        assert self._waiting is not None
        future, self._waiting = self._waiting[1], None
        data, seconds = future.result()
        following = list(self._plan[self._plan.index(item) + 1 :]) if item in self._plan else []
        if following:
            self._begin(following[0])
        data["started"] = time.monotonic() - seconds  # the time that it has waited is not its own
        return self._chain(data, start=self._steps)

    def abandon(self) -> None:
        """Forget what was read ahead."""
        if self._waiting is not None and not self._waiting[1].cancel():
            wait([self._waiting[1]])
        self._waiting = None

    def _begin(self, item: Item) -> None:
        self._waiting = (item, self._background.submit(self._read, item))

    def _read(self, item: Item) -> tuple[dict[Hashable, Any], float]:
        start = time.monotonic()
        return self._chain(item, end=self._steps), time.monotonic() - start
