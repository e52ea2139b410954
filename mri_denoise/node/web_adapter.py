"""requests and urllib3, with a meter: its bytes are counted, its connections are cut off when the time is over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from urllib3 import BaseHTTPResponse, HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from mri_denoise.node.web_limits import Meter


class MeteredAdapter(HTTPAdapter):
    """An adapter for a requests session that counts what servers send, and ends when the time is over.

    Args:
        meter: what it counts with.
    """

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Let the meter know of every connection before it is made."""
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = _pools(self._meter)

    def build_response(self, request: PreparedRequest, answer: BaseHTTPResponse) -> Response:
        """Count the bytes of an answer as they are read."""
        response = super().build_response(request, answer)
        response.raw = _Counted(answer, self._meter)
        return response


def _pools(meter: Meter) -> dict[str, type[HTTPConnectionPool]]:
    """urllib3's pools, with connections that the meter watches."""

    class Plain(HTTPConnection):
        def connect(self) -> None:
            meter.watch(self)
            super().connect()
            meter.watch(self)

    class Secure(HTTPSConnection):
        def connect(self) -> None:
            meter.watch(self)
            super().connect()
            meter.watch(self)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


class _Counted:
    """An answer of urllib3 whose unpacked bytes are counted."""

    def __init__(self, answer: BaseHTTPResponse, meter: Meter) -> None:
        self._answer, self._meter = answer, meter

    def stream(self, amount: int, decode_content: bool | None = None) -> Iterator[bytes]:
        for part in self._answer.stream(amount, decode_content=decode_content):
            self._meter.count(len(part))
            yield part

    def __getattr__(self, name: str) -> Any:
        return getattr(self._answer, name)
