"""The check of an installation: what is in order, and how each kind of damage is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mri_denoise import doctor
from mri_denoise.bundles.registry import find_bundle
from tests.commands import cli, make_bundle


@pytest.fixture(scope="module")
def random_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle("hmad_rician", tmp_path_factory.mktemp("bundle") / "tiny")


def test_this_installation_is_in_order() -> None:
    report = json.loads(cli("doctor", "--json").stdout)
    found = {check["name"]: check for check in report["checks"]}
    assert report["ok"] and {check["status"] for check in found.values()} <= {"ok", "warning"}
    assert list(found) == [
        "libraries", "weights rician", "weights salt-pepper", "weights noise_level", "device", "collaborative filter",
        "temporary folder", "self-test",
    ]  # fmt: skip
    assert f"expected {doctor.EXPECTED_PSNR:.2f}" in found["self-test"]["found"]
    assert "mri-denoise 0.1.0" in found["libraries"]["found"]


def test_something_broken_is_exit_code_1_and_the_rest_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LIBRARIES", ("numpy", "no_such_library"))
    said = cli("doctor", code=1).stdout
    assert "broken   libraries: no_such_library: ModuleNotFoundError" in said
    assert "ok       self-test" in said and said.splitlines()[-1] == "1 broken."


@pytest.mark.parametrize(("model", "weights"), [("salt-pepper", "model.pt"), ("rician", "refine.pt")])
def test_altered_and_missing_weights_are_broken(tmp_path: Path, model: str, weights: str) -> None:
    bundle = find_bundle(model)
    for folder in ("configs", "models"):
        shutil.copytree(bundle.folder / folder, tmp_path / folder)
    assert doctor.check_weights(str(tmp_path)).status == "ok"
    with (tmp_path / "models" / weights).open("ab") as file:
        file.write(b"\0")
    altered = doctor.check_weights(str(tmp_path))
    assert altered.status == "broken" and "but SHA256SUMS has" in altered.found and altered.advice
    (tmp_path / "models" / "model.pt").unlink()
    assert "no such file" in doctor.check_weights(str(tmp_path)).found


def test_a_wrong_result_is_broken(random_bundle: Path) -> None:
    check = doctor.check_result(str(random_bundle))
    assert check.status == "broken" and check.advice


def test_the_filter_in_pytorch_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MRI_DENOISE_PLAIN_FILTER", "1")
    check = doctor.check_filter()
    assert check.status == "warning" and check.found == "PyTorch, MRI_DENOISE_PLAIN_FILTER is set" and check.advice


def test_a_full_temporary_folder_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_LEAST_FREE", 2**62)
    assert "TMPDIR" in doctor.check_temporary_folder().advice
