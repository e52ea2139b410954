"""The processes of the tests themselves."""

from __future__ import annotations

import os

import torch

from mri_denoise.runtime import usable_cores


def test_processes_of_tests_share_the_cores() -> None:
    """With more threads than cores, a training takes four times the processor time."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
    assert torch.get_num_threads() * workers <= max(usable_cores(), workers)
