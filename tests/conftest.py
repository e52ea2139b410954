"""What in-process runs of commands leave behind."""

from __future__ import annotations

import logging

import pytest


@pytest.fixture(autouse=True)
def no_handlers_on_closed_streams() -> None:
    """Remove log handlers whose stream a test runner has closed.

    MONAI's StatsHandler binds a named logger to the standard output of its run, and a library that logs by
    ``logging.info`` gives the root logger a handler on standard error.
    """
    loggers = [logging.getLogger(name) for name in [None, *logging.root.manager.loggerDict]]
    for logger in loggers:
        for handler in list(logger.handlers):
            if getattr(getattr(handler, "stream", None), "closed", False):
                logger.removeHandler(handler)
