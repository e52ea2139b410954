"""The Nipype interface and the Pydra task: their command lines, and one run of each."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from tests.pipelines.stand_in import ROOT, environment, real_program

EXTRAS = ("residual", "noise_map", "tta", "figure", "report")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the program is a script")


def load(name: str, folder: str) -> Any:
    path = ROOT / "pipelines" / folder / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def noisy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small volume, and the program on PATH."""
    real_program(tmp_path / "bin")
    for name in ("PATH", "PYTHONPATH"):
        monkeypatch.setenv(name, environment(tmp_path / "bin").get(name, ""))
    path = tmp_path / "noisy.nii.gz"
    nib.save(nib.Nifti1Image(np.random.default_rng(0).rayleigh(20, (16, 16, 8)).astype(np.float32), np.eye(4)), path)
    return path


def test_nipype_runs_it_as_a_node(noisy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("nipype")
    monkeypatch.chdir(tmp_path)
    interface = load("mri_denoise_nipype", "nipype").Denoise(
        in_file=str(noisy), sigma="20", strength=0.5, **dict.fromkeys(EXTRAS, True)
    )
    assert "noisy_denoised.nii.gz --figure --noise-map --overwrite --report --residual --sigma 20" in interface.cmdline
    outputs = interface.run().outputs
    assert nib.load(outputs.out_file).shape == nib.load(outputs.residual_file).shape == (16, 16, 8)
    more = ("noise", "uncertainty", "figure", "report")
    assert all(Path(getattr(outputs, f"{name}_file")).is_file() for name in more)
    assert json.loads(Path(outputs.record_file).read_text())["settings"]["strength"] == 0.5


def test_nipype_raises_for_a_failed_run_where_an_old_result_lies(
    noisy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("nipype")
    monkeypatch.chdir(tmp_path)
    interface = load("mri_denoise_nipype", "nipype").Denoise
    interface(in_file=str(noisy), sigma="20").run()
    noisy.write_bytes(noisy.read_bytes()[:300])
    with pytest.raises(RuntimeError, match="truncated"):
        interface(in_file=str(noisy), sigma="20").run()


def test_pydra_raises_for_a_failed_run(noisy: Path, tmp_path: Path) -> None:
    pytest.importorskip("pydra.compose")
    noisy.write_bytes(noisy.read_bytes()[:300])
    with pytest.raises(RuntimeError, match="truncated"):
        load("mri_denoise_pydra", "pydra").Denoise(in_file=noisy, sigma="20")(cache_root=tmp_path / "cache")


def test_pydra_runs_it_as_a_task(noisy: Path, tmp_path: Path) -> None:
    pytest.importorskip("pydra.compose")
    interface = load("mri_denoise_pydra", "pydra").Denoise
    task = interface(in_file=noisy, sigma="20", strength=0.5, **dict.fromkeys(EXTRAS, True))
    outputs = task(cache_root=tmp_path / "cache")
    assert all(Path(getattr(outputs, f"{name}_file")).is_file() for name in ("residual", "noise", "figure", "report"))
    assert interface(in_file=noisy)(cache_root=tmp_path / "plain").uncertainty_file is None
    assert nib.load(outputs.out_file).shape == (16, 16, 8)
    assert json.loads(Path(outputs.record_file).read_text())["settings"]["strength"] == 0.5
