"""Nothing stays behind: temporary files of a run that is told to end, and of one that was killed before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from mri_denoise.io.files import folder_beside, write_beside
from mri_denoise.io.leftovers import Temporary, sweep

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no locks of that kind, no signals")
UNPACKS = """
import signal, sys, time
# who runs the tests may ignore them, as nohup does, or a shell in the background
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from mri_denoise.io.archive import Unpacking
from mri_denoise.io.files import folder_beside, write_beside
from mri_denoise.runtime import end_tidily
end_tidily()
folder = Unpacking().unpack(Path(sys.argv[1]))
with write_beside(Path(sys.argv[2]) / "a.nii.gz") as file, folder_beside(Path(sys.argv[2]) / "series") as beside:
    (beside / "IM1").write_bytes(b"patient")
    print("ready", flush=True)
    time.sleep(60)
"""


def ended_by(number: int, folder: Path) -> int:
    """Run a program that has temporary files, end it by a signal, and give its exit code."""
    with zipfile.ZipFile(folder / "study.zip", "w") as archive:
        archive.writestr("a/IM1", b"patient")
    (folder / "tmp").mkdir(exist_ok=True)
    (folder / "out").mkdir(exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-c", UNPACKS, str(folder / "study.zip"), str(folder / "out")],
        env={**os.environ, "TMPDIR": str(folder / "tmp")},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    assert len(list((folder / "tmp").iterdir())) == 1
    assert len(list((folder / "out").iterdir())) == 2
    process.send_signal(number)
    process.stdout.close()
    return process.wait(timeout=30)


def left(folder: Path) -> list[Path]:
    return [*(folder / "tmp").iterdir(), *(folder / "out").iterdir()]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_run_that_is_told_to_end_leaves_nothing(tmp_path: Path, name: str) -> None:
    assert ended_by(getattr(signal, name), tmp_path) != 0
    assert left(tmp_path) == []


def test_the_next_run_sweeps_what_a_killed_one_left(tmp_path: Path) -> None:
    ended_by(signal.SIGKILL, tmp_path)
    assert len(left(tmp_path)) == 3
    swept = [*sweep(tmp_path / "tmp"), *sweep(tmp_path / "out")]
    assert len(swept) == 3
    assert left(tmp_path) == []


def test_only_what_is_ours_and_dead_is_swept(tmp_path: Path) -> None:
    alive = Temporary(tmp_path, Path.mkdir)
    kept = [tmp_path / ".mri-denoise-notes", tmp_path / "mri-denoise-0123456789abcdeX", tmp_path / ".hidden"]
    for path in kept:
        path.write_text("mine")
    (tmp_path / ".mri-denoise-0123456789abcdef").symlink_to(tmp_path / ".hidden")
    dead = tmp_path / "mri-denoise-0123456789abcdef"
    dead.mkdir()
    assert sweep(tmp_path) == [dead]
    assert alive.path.is_dir() and all(path.exists() for path in kept)
    alive.close()
    assert not alive.path.exists()


def test_writing_sweeps_the_folder_it_writes_to(tmp_path: Path) -> None:
    (tmp_path / ".mri-denoise-0123456789abcdef.nii.gz").write_bytes(b"half")
    with write_beside(tmp_path / "a.json") as file:
        file.write_text("{}")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    with pytest.raises(KeyError), folder_beside(tmp_path / "b") as folder:
        (folder / "c").write_text("half")
        raise KeyError
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
