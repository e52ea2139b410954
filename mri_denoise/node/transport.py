"""Limits that pynetdicom lacks: on dead and slow connections, and on the length of PDUs.

It extends two of its classes: the server (who may connect; no connection or TLS handshake delays another) and the
request handler (a `recv` that limits the length of a PDU and its time, and the DIMSE provider of `arrival`).
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from mri_denoise.node.arrival import SpoolingDimse
from mri_denoise.node.lobby import Lobby
from mri_denoise.node.settings import Limits

_MAX_CONTROL_PDU = 1 << 18


class Server(ThreadedAssociationServer):
    """Accepts connections of addresses that may connect; none can delay the others.

    Args:
        admits: whether an address may connect.
        limits: connections, and time for each.
        new_path: names a file for the next image.
        options: for pynetdicom's own server.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self, *, admits: Callable[[str], bool], limits: Limits, new_path: Callable[[], Path], **options: Any
    ) -> None:
        self.limits, self.new_path, self._admits = limits, new_path, admits
        self.lobby = Lobby(most=2 * limits.associations, most_per_address=limits.associations_per_address)
        super().__init__(**options)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; its own thread does the TLS handshake."""
        connection: socket.socket
        connection, address = self.socket.accept()  # type: ignore[union-attr]
        connection.settimeout(self.limits.timeout_seconds)
        if self.ssl_context:
            connection = self.ssl_context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether an address may connect; if not, the connection is closed before a byte is read."""
        return self._admits(client_address[0])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for a connection."""
        self.lobby.enter(request, client_address[0])
        super().process_request(request, client_address)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Wait for the first byte, then make an association, which costs more than a thread that sleeps."""
        first = socket.socket.recv(request, 1, socket.MSG_PEEK)  # of the TCP connection, also below TLS
        if not first:
            raise ConnectionError("closed before its first byte")
        self.lobby.has_spoken(request)
        super().finish_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        self.lobby.leave(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print no traceback for a connection that broke."""


class Handler(RequestHandler):
    """Makes associations with the bounded socket and the spooling DIMSE provider."""

    server: Server
    _is_asked_for = False

    def _create_association(self) -> Association:
        assoc = super()._create_association()
        limits = self.server.limits
        assoc.bind(evt.EVT_REQUESTED, self._asked)
        assoc.bind(evt.EVT_CONN_CLOSE, self._closed)
        assoc.dimse = SpoolingDimse(assoc, self.server.new_path, limits.file_mb * 1e6)
        connection = assoc.dul.socket
        assert connection is not None
        recv = bounded_recv(connection, max(limits.pdu_bytes, _MAX_CONTROL_PDU), limits.timeout_seconds)
        connection.recv = recv  # type: ignore[assignment,method-assign]
        return assoc

    def _asked(self, _event: evt.Event) -> None:
        """Note that the peer has asked for the association."""
        self._is_asked_for = True
        self.server.lobby.leave(self.request)

    def _closed(self, event: evt.Event) -> None:
        """Wake the thread that waits for a request which cannot come any more."""
        if not self._is_asked_for:
            event.assoc.dul.to_user_queue.put(None)  # as after a timeout


def bounded_recv(connection: AssociationSocket, max_bytes: int, seconds: float) -> Callable[[int], bytearray]:
    """Make a `recv` that refuses more than `max_bytes`, and gives up after `seconds`.

    pynetdicom calls it for the head of a PDU, then for as many bytes as the head says: up to 4 GB.
    """

    def recv(count: int) -> bytearray:
        if count > max_bytes:
            raise ConnectionError(f"PDU of {count} bytes, at most {max_bytes} are taken")
        assert connection.socket is not None
        until = time.monotonic() + seconds
        received = bytearray()
        while len(received) < count:
            remaining = until - time.monotonic()
            if remaining <= 0:
                raise TimeoutError("PDU is sent too slowly")
            connection.socket.settimeout(remaining)
            part = connection.socket.recv(min(count - len(received), 1 << 16))
            if not part:
                break
            received += part
        connection.socket.settimeout(seconds)
        return received

    return recv
