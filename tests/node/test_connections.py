"""Peers that hold connections without using them, or break the rules before an association: others are not held up."""

from __future__ import annotations

import socket
import sys
import time

import pytest

from mri_denoise.node.receiver import SUCCESS
from tests.node.receiving import Listening, associate, send
from tests.node.servers import tiny_series, until


@pytest.mark.parametrize("listening", [{"limits.timeout_seconds": 0.5}], indirect=True)
@pytest.mark.parametrize(
    "content",
    [b"", b"\x01", b"\x01\0\xff\xff\xff\xff" + bytes(1000), b"GET / HTTP/1.1\r\n\r\n", b"\x04\0\0\0\0\x06" + bytes(6)],
    ids=["nothing", "a byte", "4 GB", "HTTP", "data first"],
)
def test_connections_that_are_no_association_are_closed(listening: Listening, content: bytes) -> None:
    with socket.create_connection(("127.0.0.1", listening.port), timeout=10) as connection:
        connection.sendall(content)
        connection.settimeout(20)
        try:
            while connection.recv(1000):
                pass
        except ConnectionResetError:
            pass
    until(listening.is_up, 60)  # again and again, since the time for an answer is short here


@pytest.mark.parametrize("listening", [{"limits.timeout_seconds": 0.6}], indirect=True)
def test_a_peer_that_drips_bytes_is_cut_off(listening: Listening) -> None:
    with socket.create_connection(("127.0.0.1", listening.port), timeout=10) as connection:
        connection.settimeout(0.1)

        def is_cut() -> bool:
            try:
                connection.sendall(b"\x01")
                return connection.recv(10) == b""
            except TimeoutError:
                return False
            except OSError:
                return True

        until(is_cut, 60)
    until(listening.is_up, 60)  # again and again, since the time for an answer is short here


@pytest.mark.parametrize("listening", [{"limits.associations": 2}], indirect=True)
def test_more_associations_than_allowed_are_rejected(listening: Listening) -> None:
    held = [associate(listening.port) for _ in range(2)]
    assert all(one.is_established for one in held)
    assert associate(listening.port).is_rejected
    for one in held:
        one.release()
    until(lambda: send(listening.port, tiny_series("late", 1)[0]) == SUCCESS, 60)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a second loopback address")
@pytest.mark.parametrize("listening", [{"limits.associations_per_address": 2}], indirect=True)
def test_one_address_leaves_room_for_others(listening: Listening) -> None:
    held = [associate(listening.port) for _ in range(2)]
    assert all(one.is_established for one in held)
    assert associate(listening.port).is_rejected
    other = associate(listening.port, source="127.0.0.2")
    assert other.is_established
    for one in (*held, other):
        one.release()
    assert listening.text.getvalue().count('reason="too many associations"') == 1


@pytest.mark.parametrize("listening", [{"limits.timeout_seconds": 600.0}], indirect=True)
@pytest.mark.parametrize(
    "content", [b"", b"\x01", b"\x01\0\0\0\x10\0" + bytes(100)], ids=["silent", "a byte", "half a PDU"]
)
def test_two_hundred_dead_connections_hold_up_nobody(listening: Listening, content: bytes) -> None:
    dead = []
    try:
        for _ in range(200):
            dead.append(socket.create_connection(("127.0.0.1", listening.port), timeout=10))
            dead[-1].sendall(content)
        started = time.monotonic()
        for _ in range(3):
            assert send(listening.port, tiny_series("alive", 1)[0]) == SUCCESS
        assert time.monotonic() - started < 60, "long before any of them times out"
        until(lambda: sum(not is_closed(one) for one in dead) <= listening.settings.limits.associations_per_address, 60)
    finally:
        for one in dead:
            one.close()


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side has closed a connection."""
    connection.settimeout(0)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
