"""What is told of a process that crashed: the error and its place, and nothing that its message quotes."""

from __future__ import annotations

import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest

from mri_denoise.node.last_words import LastWords
from mri_denoise.node.lock import locked
from mri_denoise.node.log import logging_to
from mri_denoise.node.settings import load
from mri_denoise.node.spool import Spool
from mri_denoise.node.worker import Worker
from tests.node.test_worker import receive

NAME = "DOE^JOHN"


def words_of(folder: Path, program: str) -> str:
    file = folder / "program.py"
    file.write_text(program)
    process = subprocess.Popen([sys.executable, "-X", "faulthandler", file], stderr=subprocess.PIPE)
    assert process.stderr is not None
    words = LastWords(process.stderr)
    process.wait()
    return words.say()


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (f"def read():\n    raise ValueError('{NAME}\\n{NAME}: more')\nread()", ": ValueError at program.py:2"),
        ("raise MemoryError", ": MemoryError at program.py:1"),
        ("import no_such.module", ": ModuleNotFoundError (No module named 'no_such') at program.py:1"),
        (f"raise ImportError('{NAME}')", ": ImportError at program.py:1"),
        (f"try:\n    1 / 0\nexcept ArithmeticError:\n    raise KeyError('{NAME}')", ": KeyError at program.py:4"),
        (
            "import faulthandler\nfaulthandler._sigsegv()",
            ": Fatal Python error: Segmentation fault at program.py:2",
        ),
        (f"import sys\nprint('{NAME}: {NAME}', file=sys.stderr)\nsys.exit(3)", ""),
        ("import sys\nsys.stderr.write('x' * 1_000_000)", ""),
    ],
)
def test_the_error_and_its_place_are_told_and_no_message(tmp_path: Path, program: str, words: str) -> None:
    assert words_of(tmp_path, program) == words


def test_a_crash_is_logged_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "path"
    broken.mkdir()
    (broken / "pydicom.py").write_text(f"raise RuntimeError('{NAME}')")
    settings = load(None, {"spool": str(tmp_path / "spool"), "destination": {"dicom": {"ae_title": "A", "host": "b"}}})
    spool = Spool(tmp_path / "spool")
    uid = receive(spool)
    said = StringIO()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(broken), os.environ.get("PYTHONPATH", "")]))
    with locked(spool.root) as lock, logging_to(said):
        worker = Worker(settings, spool, lock)
        try:
            while worker.step():
                pass
        finally:
            worker.stop()
    assert spool.series("failed") == [uid] and said.getvalue().count("ended (1): RuntimeError at pydicom.py:1") == 2
    job = spool.job("failed", uid)
    assert job is not None and "RuntimeError at pydicom.py:1" in job.failed[0]
    assert NAME not in said.getvalue() + str(job)
