"""Images side by side in worker processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mri_denoise.simulation import head_phantom, phantom_affine

SHAPE = (32, 36, 8)


def noisy(seed: int, *more: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    clean = (900 * head_phantom(SHAPE)).reshape(*SHAPE, *[1] * len(more))
    shape = (*SHAPE, *more)
    return np.hypot(clean + rng.normal(0, 30, shape), rng.normal(0, 30, shape)).astype(np.int16)


def run(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    """The command in a Python of its own."""
    words = [sys.executable, "-m", "mri_denoise.cli.main", *(str(a) for a in arguments)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = tmp_path / "in"
    source.mkdir()
    for seed, name in enumerate("abc"):
        nib.save(nib.Nifti1Image(noisy(seed), phantom_affine(SHAPE)), source / f"{name}.nii.gz")
    packed = (source / "b.nii.gz").read_bytes()
    (source / "b.nii.gz").write_bytes(packed[: len(packed) // 2])
    return source


def test_jobs_give_the_same_in_the_same_order(tmp_path: Path, folder: Path) -> None:
    reports = []
    for jobs in (1, 2):
        out = tmp_path / str(jobs)
        done = run("denoise", folder, out, "--device", "cpu", "--jobs", jobs, "--json", code=1)
        reports.append(json.loads(done.stdout))
        assert [f["case"] for f in reports[-1]["failed"]] == ["b.nii.gz"]
        assert [r["case"] for r in reports[-1]["done"]] == ["a.nii.gz", "c.nii.gz"]
        assert "b.nii.gz" in done.stderr and "truncated" in done.stderr
        assert not [p for p in out.iterdir() if p.name.startswith(".")]
    for name in ("a.nii.gz", "c.nii.gz"):
        one, two = (np.asarray(nib.load(tmp_path / str(j) / name).dataobj) for j in (1, 2))
        assert np.abs(one.astype(int) - two).max() <= 1  # threads add up in another order


def test_a_worker_that_dies_fails_its_case_alone(tmp_path: Path, folder: Path) -> None:
    program = """
import os, sys
import mri_denoise.pipeline.workers as workers
usual = workers.denoise_case
def denoise_case(denoiser, case, *more):
    if case.label.startswith("a"):
        os._exit(9)
    return usual(denoiser, case, *more)
workers.denoise_case = denoise_case
if __name__ == "__main__":
    from mri_denoise.cli.main import app
    app(["denoise", sys.argv[1], sys.argv[2], "--device", "cpu", "--jobs", "2", "--json"])
"""
    script = tmp_path / "program.py"
    script.write_text(program)
    done = subprocess.run(
        [sys.executable, script, folder, tmp_path / "out"], capture_output=True, text=True, check=False
    )
    report = json.loads(done.stdout)
    assert [r["case"] for r in report["done"]] == ["c.nii.gz"] and done.returncode == 1
    assert "worker process ended" in {f["case"]: f["error"] for f in report["failed"]}["a.nii.gz"]
