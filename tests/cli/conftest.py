"""What in-process runs of commands leave behind."""

from __future__ import annotations

import logging

import pytest


@pytest.fixture(autouse=True)
def no_handlers_on_closed_streams() -> None:
    """MONAI's StatsHandler binds a named logger to the standard output of its run, which a test runner closes."""
    for logger in [logging.getLogger(name) for name in list(logging.root.manager.loggerDict)]:
        for handler in list(logger.handlers):
            if getattr(getattr(handler, "stream", None), "closed", False):
                logger.removeHandler(handler)
