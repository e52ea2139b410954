"""``mri-denoise benchmark scanners``: the estimate of the noise against simulated scanners."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tests.commands import cli


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


def test_a_folder_without_a_datalist_is_told(tmp_path: Path) -> None:
    said = cli("benchmark", "scanners", "--output", tmp_path / "out", "--dataset", tmp_path, "--count", 1, code=1)
    assert "datalist.json" in said.output
