"""When something that failed is tried again: each pause is twice as long as the one before, up to a limit."""

from __future__ import annotations

import time

from mri_denoise.node.settings import Retry


class Pauses:
    """The pauses of several things, by name; what has not failed yet is due.

    Args:
        retry: the first and the longest pause.
    """

    def __init__(self, retry: Retry) -> None:
        self._retry = retry
        self._due: dict[str, float] = {}
        self._since: dict[str, float] = {}
        self._pauses: dict[str, float] = {}

    def is_due(self, name: str) -> bool:
        """Whether its pause is over."""
        return self._due.get(name, 0.0) <= time.monotonic()

    def begin(self, name: str) -> float:
        """Begin the next pause, after an attempt that failed; return its seconds."""
        pause = min(self._pauses.get(name, self._retry.first_seconds / 2) * 2, self._retry.longest_seconds)
        self._pauses[name], self._due[name] = pause, time.monotonic() + pause
        self._since.setdefault(name, time.monotonic())
        return pause

    def is_over(self, name: str) -> bool:
        """Whether it has failed for so long that it is given up."""
        since = self._since.get(name, time.monotonic())
        return time.monotonic() - since >= self._retry.give_up_hours * 3600

    def forget(self, name: str) -> None:
        """Note that it is over and done with."""
        for kept in (self._due, self._since, self._pauses):
            kept.pop(name, None)
