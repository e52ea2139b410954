"""Limits how many connections wait without an association; there is always room for a new one."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass


@dataclass
class _Guest:
    connection: socket.socket
    address: str
    has_spoken: bool = False


class Lobby:
    """Connections that have not asked for an association yet; safe to call from several threads.

    If there are too many, the oldest that has not sent a byte is closed, or else the oldest. A peer asks for its
    association within milliseconds, so that dead connections are closed in its favour and not the other way round.

    Args:
        most: number of connections. If there are more, one of the address that has most is closed.
        most_per_address: the same for one address.
    """

    def __init__(self, *, most: int, most_per_address: int) -> None:
        self._most, self._most_per_address = most, most_per_address
        self._guests: list[_Guest] = []
        self._lock = threading.Lock()

    def enter(self, connection: socket.socket, address: str) -> None:
        """Let a connection wait; close another if there are too many."""
        with self._lock:
            self._guests = [one for one in self._guests if one.connection.fileno() >= 0]
            counts = Counter(one.address for one in self._guests)
            if counts[address] >= self._most_per_address:
                self._cut_off_one_of(address)
            elif len(self._guests) >= self._most:
                self._cut_off_one_of(max(counts, key=lambda one: counts[one]))
            self._guests.append(_Guest(connection, address))

    def has_spoken(self, connection: socket.socket) -> None:
        """Note that the first byte of a connection has come."""
        with self._lock:
            for guest in self._guests:
                guest.has_spoken = guest.has_spoken or guest.connection is connection

    def leave(self, connection: socket.socket) -> None:
        """Note that a connection has asked for an association, or has ended."""
        with self._lock:
            self._guests = [one for one in self._guests if one.connection is not connection]

    def _cut_off_one_of(self, address: str) -> None:
        guest = min((one for one in self._guests if one.address == address), key=lambda one: one.has_spoken)
        self._guests.remove(guest)
        with suppress(OSError):  # closed meanwhile
            guest.connection.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for it, which closes it
