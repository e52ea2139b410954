"""What a DICOMweb server may cost: time and bytes, counted over all requests, whatever it answers.

The timeout of requests holds for each read, so that it never cuts off a server that drips bytes, and nothing limits the
length of an answer.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol
from weakref import WeakSet

_GB = 1e9


@dataclass(frozen=True, kw_only=True)
class WebLimits:
    """Limits of a server.

    Args:
        minutes: for all requests together.
        gb: GB of all answers together.
        image_gb: GB of one image.
        list_gb: GB of one answer that is no image, which takes many times as much memory.
        answer_seconds: without a byte.
    """

    minutes: float = 120.0
    gb: float = 50.0
    image_gb: float = 2.0
    list_gb: float = 0.1
    answer_seconds: float = 30.0


class Connection(Protocol):
    """A connection of `http.client`; it has a socket while it is open."""

    sock: socket.socket | None


class Meter:
    """Counts against the limits, from when it is made.

    Args:
        limits: the limits.
    """

    def __init__(self, limits: WebLimits) -> None:
        self._limits = limits
        self._until = time.monotonic() + limits.minutes * 60
        self._bytes, self._most = 0.0, limits.gb * _GB
        self._of_one = limits.gb
        self._connections: WeakSet[Connection] = WeakSet()
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._alarm = threading.Timer(limits.minutes * 60, self._cut_off)
        self._alarm.daemon = True
        self._alarm.start()

    @property
    def problem(self) -> str | None:
        """The limit that is exceeded, in one line, or None."""
        if time.monotonic() >= self._until:
            return f"the server took longer than {self._limits.minutes:g} minutes; allow more if that is right"
        if self._bytes > self._limits.gb * _GB:
            return f"the server sent more than {self._limits.gb:g} GB; allow more if that is right"
        if self._bytes > self._most:
            return f"the server sent more than {self._of_one:g} GB in one answer; check the server, or fetch less"
        return None

    def begin(self, *, image: bool) -> None:
        """An image, or an answer that is none, begins."""
        self._of_one = self._limits.image_gb if image else self._limits.list_gb
        self._most = self._bytes + self._of_one * _GB

    def count(self, received: int) -> None:
        """Count bytes of an answer.

        Raises:
            ConnectionError: if they are too many, or it is too late.
        """
        self._bytes += received
        if self.problem is not None:
            raise ConnectionError(self.problem)

    def watch(self, connection: Connection) -> None:
        """Cut off a connection, whatever it is waiting for, when the time is over.

        Call it before the connection is made, since that may take long, and after: `http.client` takes the socket off
        a connection that will not be used again, while the answer is still read from it.
        """
        self._connections.add(connection)
        if connection.sock is not None:
            self._sockets.add(connection.sock)
        self.count(0)

    def stop(self) -> None:
        """Watch no more."""
        self._alarm.cancel()

    def _cut_off(self) -> None:
        for one in {*self._sockets, *(connection.sock for connection in self._connections)}:
            if one is not None:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
