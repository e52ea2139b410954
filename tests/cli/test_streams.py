"""The command with standard streams that are closed or full, and as a module of Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mri_denoise import __version__

PROGRAM = f"{sys.executable} -m mri_denoise"
FULL = Path("/dev/full")


def shell(line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=120)


def test_closed_streams_change_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "none"
    for closed, said in (
        ("2>&-", ""),
        ("<&- >&- 2>&-", ""),
        (">&-", f"mri-denoise: {folder}: no such file or folder.\n"),
    ):
        done = shell(f"{PROGRAM} denoise {folder} {tmp_path / 'out'} {closed}")
        assert (done.returncode, done.stdout, done.stderr) == (2, "", said)


def test_no_file_takes_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    words = "from mri_denoise.cli.streams import stand_in_for_closed as f; f(); print(open('x', 'w').fileno() > 2)"
    done = shell(f'cd {tmp_path}; {sys.executable} -c "{words}" <&- 2>&-')
    assert (done.returncode, done.stdout) == (0, "True\n")


@pytest.mark.skipif(not FULL.exists(), reason="this system has no device that is always full")
@pytest.mark.parametrize("arguments", ["--version", "models --json"])
def test_a_full_disk_behind_standard_output_is_one_line(arguments: str) -> None:
    done = shell(f"{PROGRAM} {arguments} > {FULL}")
    assert done.returncode == 1
    assert done.stderr == "mri-denoise: output cannot be written (No space left on device); free space.\n"


def test_the_package_is_the_command() -> None:
    assert shell(f"{PROGRAM} --version").stdout == f"{__version__}\n"
