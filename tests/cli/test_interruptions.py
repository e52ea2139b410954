"""Commands that Ctrl-C or SIGTERM ends: one line, what was done so far, no process that stays behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.bids.datasets import put_image, put_json

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and process groups of Unix")
IMAGES = 12
LONG = 600  # seconds: the computer may be busy


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A data set, which `denoise` takes like any folder if it is given the images alone."""
    root = tmp_path / "raw"
    put_json(root / "dataset_description.json", {"Name": "heads", "BIDSVersion": "1.10.0"})
    for number in range(1, IMAGES + 1):
        put_image(root / f"sub-{number:02d}/anat/sub-{number:02d}_T1w.nii.gz", seed=number)
    return root


def start(*arguments: object) -> subprocess.Popen[str]:
    """The command in a process group of its own, which heeds Ctrl-C whoever runs the tests."""
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    words = [
        sys.executable,
        "-c",
        f"{heed}; from mri_denoise.cli.main import app; app()",
        *map(str, arguments),
        "--quality",
        "fast",
        "--device",
        "cpu",
    ]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def until(true: Callable[[], object], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + LONG
    while not true():
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.01)


def children(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


@pytest.mark.parametrize("command", ["denoise", "bids"])
def test_what_was_done_is_told_and_the_same_command_goes_on(raw: Path, tmp_path: Path, command: str) -> None:
    out = tmp_path / "out"
    words = ("denoise", raw / "sub-01", out) if command == "denoise" else ("bids", raw, out, "participant")
    if command == "denoise":
        for path in raw.glob("sub-*/anat/*.nii.gz"):
            path.rename(raw / "sub-01" / path.name)
    told = start(*words, "--json")
    until(lambda: list(out.rglob("*.nii.gz")), told)
    told.send_signal(signal.SIGTERM)
    said, errors = told.communicate(timeout=LONG)
    assert told.returncode == 128 + signal.SIGTERM, errors
    done = [record["case"] for record in json.loads(said)["done"]]
    assert 1 <= len(done) < IMAGES and json.loads(said)["failed"] == []
    assert f"interrupted after {len(done)} of {IMAGES}; the same command goes on." in errors.splitlines()
    assert len([path for path in out.rglob("*.nii.gz") if path.is_file()]) == len(done)

    said, errors = start(*words, "--json").communicate(timeout=LONG)
    report = json.loads(said)
    assert sorted(report["done_before"]) == sorted(done) and len(report["done"]) == IMAGES - len(done), errors


def test_ctrl_c_while_workers_start_is_one_line(raw: Path, tmp_path: Path) -> None:
    """At three moments, as a terminal does it: to all processes."""
    for moment in (0, 0.5, 1.5):
        process = start("bids", raw, tmp_path / "out", "participant", "--jobs", 2)
        until(lambda: len(children(process)) >= 2, process)  # noqa: B023
        time.sleep(moment)
        began = children(process)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=LONG)
        assert process.returncode == 128 + signal.SIGINT, errors
        lines = [line for line in errors.splitlines() if not line.startswith("selected")]
        assert len(lines) == 2 and "interrupted after" in lines[1], errors
        assert psutil.wait_procs(began, timeout=30)[1] == []


def test_before_the_first_image_there_is_a_line_and_json_too(raw: Path, tmp_path: Path) -> None:
    held = raw / "sub-01" / "anat" / "sub-01_T1w.json"
    os.mkfifo(held)  # reading it takes as long as nobody writes
    process = start("bids", raw, tmp_path / "out", "participant", "--json")
    with held.open("w"):  # opens when the command reads
        process.send_signal(signal.SIGINT)
        said, errors = process.communicate(timeout=LONG)
    assert process.returncode == 128 + signal.SIGINT
    assert errors == "mri-denoise: interrupted.\n" and json.loads(said) == {"error": "interrupted"}
