"""Fixtures of more than one module."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.receiving import Listening
from tests.node.servers import Certificate
from tests.programs import need


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    folder = tmp_path_factory.mktemp("tls")
    made = Certificate(chain=folder / "certificate.pem", key=folder / "key.pem")
    command = [need("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", made.key, "-out", made.chain]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return made


@pytest.fixture
def listening(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Listening]:
    found = Listening(tmp_path, **getattr(request, "param", {}))
    yield found
    found.stop()
