"""Memory, as the operating system counts it, and series that are processed in parts."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mri_denoise.io.chunks import CHUNK_VOXELS

resource = pytest.importorskip("resource", reason="peak memory is asked of POSIX")

# Denoises each input in turn, and prints the peak of the process in bytes after each. Linux's ru_maxrss begins with the
# peak of the process that started this one, so VmHWM is asked where there is one.
PROGRAM = """
import resource, sys
from pathlib import Path
from mri_denoise.cli.main import app
def peak():
    status = Path("/proc/self/status")
    if status.is_file():
        [line] = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
for path in sys.argv[1:]:
    try:
        output = path.replace(".nii", "_out.nii") if Path(path).is_file() else path + "_out"
        app(["denoise", path, output, "--device", "cpu"])
    except SystemExit as end:
        assert not end.code
    print("peak", peak())
"""


def peaks(*paths: Path) -> list[int]:
    words = [sys.executable, "-c", PROGRAM, *map(str, paths)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("peak")]


def mostly_air(path: Path, shape: tuple[int, ...], occupied: int) -> Path:
    """A volume with signal in some slices: as much to hold in memory as any other, and quick to denoise."""
    array = np.zeros(shape, np.int16)
    rng = np.random.default_rng(0)
    middle = shape[2] // 2
    array[:, :, middle : middle + occupied] = rng.normal(300, 40, (*shape[:2], occupied, *shape[3:]))
    nib.save(nib.Nifti1Image(array, np.diag([1.0, 1, 3, 1])), path)
    return path


def test_a_volume_takes_a_few_times_its_own_size(tmp_path: Path) -> None:
    small = mostly_air(tmp_path / "small.nii", (320, 320, 8), 2)
    large = mostly_air(tmp_path / "large.nii.gz", (320, 320, 160), 2)
    before, after = peaks(small, large)
    assert after - before < 5 * 320 * 320 * 160 * np.dtype(np.float32).itemsize
    result, source = (np.asarray(nib.load(p).dataobj) for p in (tmp_path / "large_out.nii.gz", large))
    assert not np.array_equal(result, source)
    assert not result[:, :, :70].any()


@pytest.mark.slow
def test_a_pipeline_takes_the_memory_of_a_few_more_volumes(tmp_path: Path) -> None:
    alone = mostly_air(tmp_path / "alone.nii.gz", (320, 320, 160), 2)
    several = tmp_path / "several"
    several.mkdir()
    for n in range(4):
        shutil.copy(alone, several / f"{n}.nii.gz")
    before, after = peaks(alone, several)
    volume = 320 * 320 * 160 * np.dtype(np.float32).itemsize
    # the next one, the last one, and what the C library's second pool of memory keeps
    assert after - before < 5 * volume


@pytest.mark.slow
def test_a_series_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    shape = (128, 128, 60, 180)
    small = mostly_air(tmp_path / "small.nii", shape[:3], 2)
    array = np.zeros(shape, np.int16)
    array[20:40, 20:40, 30, ::45] = np.random.default_rng(0).integers(50, 500, (20, 20, 4))
    nib.save(nib.Nifti1Image(array, np.diag([1.0, 1, 3, 1])), tmp_path / "series.nii.gz")
    before, after = peaks(small, tmp_path / "series.nii.gz")
    assert after - before < 8 * CHUNK_VOXELS * np.dtype(np.float32).itemsize  # whatever the length of the series
    result = nib.load(tmp_path / "series_out.nii.gz")
    assert result.header == nib.load(tmp_path / "series.nii.gz").header
    changed = (np.asarray(result.dataobj) != array).any(axis=(0, 1, 2))
    assert (np.flatnonzero(changed) % 45 == 0).all() and changed.any()


@pytest.mark.slow
def test_a_large_volume_stays_under_two_and_a_half_gigabytes(tmp_path: Path) -> None:
    (peak,) = peaks(mostly_air(tmp_path / "large.nii.gz", (512, 512, 400), 12))
    assert peak < 2.5e9
