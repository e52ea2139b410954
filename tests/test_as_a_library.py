"""Used by another program: what is that program's own stays as it was."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import warnings

import pytest

from mri_denoise.runtime import quiet

HOST = """
import logging, sys, threading, warnings
import numpy as np
from mri_denoise.denoiser import Denoiser
from mri_denoise.volume import Volume

heard = []
class Ears(logging.Handler):
    def emit(self, record): heard.append(record.getMessage())
logging.getLogger("host").addHandler(Ears())
denoiser = Denoiser.load("rician", device="cpu")
noisy = Volume(array=np.random.default_rng(0).rayleigh(20, (1, 32, 32, 12)).astype("f4"), affine=np.eye(4))
filters, working = list(warnings.filters), threading.Event()

def talk():
    while not working.is_set():
        logging.getLogger("host").warning("still here")

threads = [threading.Thread(target=talk)]
threads += [threading.Thread(target=denoiser, args=(noisy,), kwargs={"sigma": 20}) for _ in range(2)]
for thread in threads: thread.start()
for thread in threads[1:]: thread.join()
before = len(heard)
working.set()
assert before > 100, before
assert list(warnings.filters) == filters and not logging.root.manager.disable
import monai
print(monai.losses.DiceLoss.__name__, monai.engines.SupervisedTrainer.__name__, monai.handlers.StatsHandler.__name__)
from monai.utils import optional_import
assert not optional_import("no_such_module_at_all")[1]
"""


def test_the_hosts_logs_warnings_and_monai_are_left_alone() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "MRI_DENOISE_QUICK_IMPORT"}
    command = [sys.executable, "-c", HOST]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["DiceLoss", "SupervisedTrainer", "StatsHandler"]


def test_quiet_blocks_that_overlap_bring_back_what_was_before(caplog: pytest.LogCaptureFixture) -> None:
    filters, disabled = list(warnings.filters), logging.root.manager.disable
    first_ended, second_began = threading.Event(), threading.Event()

    def second() -> None:
        with quiet():
            second_began.set()
            first_ended.wait(10)
            logging.getLogger("library").critical("not heard")

    other = threading.Thread(target=second)
    with quiet():
        other.start()
        assert second_began.wait(10)
    first_ended.set()
    other.join()
    assert list(warnings.filters) == filters and logging.root.manager.disable == disabled
    logging.getLogger("library").critical("heard")
    assert [record.message for record in caplog.records] == ["heard"]
