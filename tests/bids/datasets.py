"""Small BIDS data sets of phantoms, and what the validator says of a folder."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from tests.phantoms import head

SHAPE = (24, 20, 8)
AFFINE = np.diag([2.0, 2.0, 4.0, 1.0])


def noisy(seed: int = 0, *more: int) -> np.ndarray:
    """A noisy phantom as int16, shape (X, Y, Z) or (X, Y, Z, T)."""
    rng = np.random.default_rng(seed)
    clean = (900 * head(SHAPE)).reshape(*SHAPE, *[1] * len(more))
    shape = (*SHAPE, *more)
    return np.hypot(clean + rng.normal(0, 30, shape), rng.normal(0, 30, shape)).astype(np.int16)


def put_image(path: Path, *more: int, seed: int = 0) -> Path:
    """Write a noisy phantom, of several volumes if there is a number of them."""
    image = nib.Nifti1Image(noisy(seed, *more), AFFINE)
    image.header.set_xyzt_units("mm", "sec")
    if more:
        image.header["pixdim"][4] = 2.0
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)
    return path


def put_json(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def make_raw(root: Path) -> Path:
    """A data set: one participant with T1w, T2w and a mask; one with a session of T1w, dwi, bold and asl."""
    description = {"Name": "heads", "BIDSVersion": "1.10.0", "DatasetType": "raw", "License": "CC0"}
    put_json(root / "dataset_description.json", description)
    (root / "README.md").write_text("Phantoms of heads, made for tests.\n")
    (root / "participants.tsv").write_text("participant_id\tage\nsub-01\t30\nsub-02\t40\n")
    put_json(root / "task-rest_bold.json", {"RepetitionTime": 2.0, "TaskName": "rest", "Manufacturer": "none"})
    (root / "dwi.bval").write_text("0 1000 1000\n")
    (root / "dwi.bvec").write_text("0 1 0\n0 0 1\n0 0 0\n")
    first = root / "sub-01" / "anat"
    put_image(first / "sub-01_T1w.nii.gz", seed=1)
    put_json(first / "sub-01_T1w.json", {"EchoTime": 0.003, "Manufacturer": "Siemens"})
    put_image(first / "sub-01_T2w.nii", seed=2)
    put_image(first / "sub-01_UNIT1.nii.gz", seed=2)
    session = root / "sub-02" / "ses-1"
    put_image(session / "anat" / "sub-02_ses-1_T1w.nii.gz", seed=3)
    put_image(session / "dwi" / "sub-02_ses-1_dir-AP_dwi.nii.gz", 3)
    bold = session / "func" / "sub-02_ses-1_task-rest_run-1_bold.nii.gz"
    put_image(bold, 2)
    put_json(bold.with_name("sub-02_ses-1_task-rest_run-1_bold.json"), {"Manufacturer": "GE"})
    bold.with_name("sub-02_ses-1_task-rest_run-1_events.tsv").write_text("onset\tduration\n1.0\t1.5\n")
    put_json(root / "task-rest_events.json", {"duration": {"Description": "how long"}})
    pulse = bold.with_name("sub-02_ses-1_task-rest_run-1_recording-cardiac_physio.tsv.gz")
    pulse.write_bytes(gzip.compress(b"1.0\n2.0\n", mtime=0))
    facts = {"SamplingFrequency": 1.0, "StartTime": 0.0, "Columns": ["cardiac"], "cardiac": {"Units": "V"}}
    put_json(root / "task-rest_recording-cardiac_physio.json", facts)
    put_image(session / "perf" / "sub-02_ses-1_asl.nii.gz", 2)
    put_json(session / "perf" / "sub-02_ses-1_asl.json", ASL)
    (session / "perf" / "sub-02_ses-1_aslcontext.tsv").write_text("volume_type\ncontrol\nlabel\n")
    return root


ASL = {
    "RepetitionTimePreparation": 4.0,
    "EchoTime": 0.01,
    "MagneticFieldStrength": 3,
    "MRAcquisitionType": "3D",
    "ArterialSpinLabelingType": "PCASL",
    "PostLabelingDelay": 1.8,
    "LabelingDuration": 1.8,
    "BackgroundSuppression": False,
    "M0Type": "Absent",
    "TotalAcquiredPairs": 1,
    "FlipAngle": 90,
}


def bids_errors(root: Path, *options: str) -> list[str]:
    """The errors that the BIDS validator finds, in the derivatives as well if asked with ``-r``."""
    program = shutil.which("bids-validator-deno", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("bids-validator-deno is not installed")
        pytest.skip("bids-validator-deno is not installed")
    done = subprocess.run([program, "--format", "json", *options, root], capture_output=True, text=True, check=False)
    return _errors(json.loads(done.stdout))


def _errors(report: dict[str, Any]) -> list[str]:
    found = [
        f"{issue['code']} {issue.get('subCode', '')} {issue.get('location', '')}"
        for issue in report["issues"]["issues"]
        if issue["severity"] == "error"
    ]
    return found + [e for nested in (report.get("derivativesSummary") or {}).values() for e in _errors(nested)]
