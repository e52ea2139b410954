"""Which workers died with which case: told in the thread of Dask's client, asked in that of the run."""

from __future__ import annotations

import threading
from collections import defaultdict


class Deaths:
    """A record of deaths that two threads share."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._workers: dict[int, list[str]] = defaultdict(list)  # by the number of the case
        self._taken: dict[str, int] = {}  # memory of a worker when its nanny ended it

    def add(self, number: int, worker: str) -> bool:
        """Note that a worker died with a case.

        Args:
            number: of the case.
            worker: its address.

        Returns:
            whether it had taken too much memory.
        """
        with self._lock:
            self._workers[number].append(worker)
            return worker in self._taken

    def add_memory(self, worker: str, taken: int) -> None:
        """Note that a worker was ended for its memory.

        Args:
            worker: its address.
            taken: bytes.
        """
        with self._lock:
            self._taken[worker] = taken

    def workers(self, number: int) -> list[str]:
        """The workers that died with a case, in order."""
        with self._lock:
            return list(self._workers.get(number, ()))

    def memory(self, number: int) -> int:
        """The most bytes that a worker had taken with a case when it was ended for that; 0 if none was."""
        with self._lock:
            return max((self._taken.get(worker, 0) for worker in self._workers.get(number, ())), default=0)

    def cases(self) -> set[int]:
        """The numbers of all cases that a worker died with."""
        with self._lock:
            return set(self._workers)
