"""Fixtures of more than one module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.receiving import Listening


@pytest.fixture
def listening(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Listening]:
    found = Listening(tmp_path, **getattr(request, "param", {}))
    yield found
    found.stop()
