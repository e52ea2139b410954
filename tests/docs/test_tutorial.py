"""The tutorial, command by command, as a reader types it."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import pytest

from tests.commands import cli
from tests.docs.test_docs import ROOT, blocks
from tests.programs import need


def test_every_command_of_the_tutorial_runs_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bash = need("bash")
    monkeypatch.chdir(tmp_path)
    said = []
    for body, marked in blocks(ROOT / "docs" / "tutorial.md", "bash"):
        for line in body.splitlines() if marked else ():
            program, *words = shlex.split(line)
            if program == "mri-denoise":
                said.append(cli(*words).output)
            elif program == "python":
                subprocess.run([sys.executable, *words], check=True)
            else:
                subprocess.run([bash, "-c", line], check=True)
    assert nib.load("denoised.nii.gz").header.binaryblock == nib.load("noisy.nii.gz").header.binaryblock
    assert "<html" in Path("denoised_report.html").read_text(encoding="utf-8")
    assert json.loads(Path("denoised.mri-denoise.json").read_text(encoding="utf-8"))["sigma"]
    assert sorted(path.name for path in Path("scans_denoised").glob("*.nii.gz")) == ["first.nii.gz", "second.nii.gz"]
    derivative = Path("dataset/derivatives/mri-denoise")
    assert (derivative / "sub-01/anat/sub-01_desc-denoised_T1w.nii.gz").is_file()
    assert (derivative / "logs/group.tsv").is_file()
    print(*said, sep="\n")
