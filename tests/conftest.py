"""How many threads a test has, and what in-process runs of commands leave behind."""

from __future__ import annotations

import gc
import logging
import os

import pytest

from mri_denoise.runtime import usable_cores

# Processes of pytest-xdist share the cores, and so do the commands that they start: a thread that waits for another one
# spins, and where there are more threads than cores, that takes several times the processor time of the work itself.
# Read when numpy and torch are imported. Not in the process that starts them, because they would inherit it.
if workers := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):
    os.environ.setdefault("OMP_NUM_THREADS", str(max(usable_cores() // int(workers), 1)))


def pytest_collection_finish() -> None:
    """Keep what was imported by then out of later garbage collections: each would look through a million objects."""
    gc.collect()
    gc.freeze()


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
