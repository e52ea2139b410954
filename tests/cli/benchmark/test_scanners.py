"""``mri-denoise benchmark scanners``: the estimate of the noise against simulated scanners."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mri_denoise.bundles.weights import sha256
from tests.commands import cli, make_bundle


def test_scans_are_scored_in_a_table_and_a_record(tmp_path: Path) -> None:
    said = cli("benchmark", "scanners", "--output", tmp_path, "--count", 2, "--seed", 1).stdout
    record = json.loads((tmp_path / "scanners.json").read_text())
    assert said.startswith("| scanners | scans |") and "| all | 2 |" in said
    assert record["objects"] == "phantoms" and len(record["scans"]) == 2
    errors = [scan["median_error"] for scan in record["scans"]]
    assert record["summary"]["median_error"] == np.median(errors)
    assert all(scan["high_error"] >= scan["median_error"] for scan in record["scans"])
    assert np.median(errors) < 0.5
    assert all(scan["harm"] is None for scan in record["scans"]) and record["summary"]["worse"] is None


def test_denoised_scans_are_held_to_the_truth(tmp_path: Path) -> None:
    said = cli("benchmark", "scanners", "--output", tmp_path, "--count", 1, "--seed", 1, "--denoise").stdout
    record = json.loads((tmp_path / "scanners.json").read_text())
    [scan] = record["scans"]
    assert scan["harm"]["gain"] > 0 and record["summary"]["gain"] == scan["harm"]["gain"]
    assert said.splitlines()[0].endswith("| gain, dB | worse | darker |")
    assert record["summary"]["worse"] == record["summary"]["darker"] == 0


def test_the_model_is_chosen_recorded_and_trusted_as_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    bundle, out = make_bundle("hmad_rician", tmp_path / "mine"), tmp_path / "out"
    options = ("benchmark", "scanners", "--output", out, "--count", 1, "--denoise", "--device", "cpu")
    (bundle / "configs" / "more.yaml").write_text("a: 1\n")
    assert "add --trust" in cli(*options, "--model", bundle, code=2).stderr and not out.exists()
    cli(*options, "--model", bundle, "--trust")
    model = json.loads((out / "scanners.json").read_text())["model"]
    assert model["weights_sha256"] == sha256(bundle / "models" / "model.pt")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--model", "rician"), "--model goes with --denoise"),
        (("--device", "cpu"), "--device goes with --denoise"),
        (("--trust",), "--trust goes with --denoise"),
        (("--denoise", "--model", "none"), "model none: neither a shipped model"),
        (("--denoise", "--device", "abacus"), "abacus"),
    ],
)
def test_options_that_cannot_be_are_refused(tmp_path: Path, options: tuple[str, ...], words: str) -> None:
    said = cli("benchmark", "scanners", "--output", tmp_path / "out", *options, code=2).stderr
    assert words in said and len(said.splitlines()) == 1


def test_a_folder_without_a_datalist_is_told(tmp_path: Path) -> None:
    said = cli("benchmark", "scanners", "--output", tmp_path / "out", "--dataset", tmp_path, "--count", 1, code=1)
    assert "datalist.json" in said.output
