"""``mri-denoise benchmark safety`` from outside: what it writes, says and returns."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from tests.commands import cli


def test_quick_from_end_to_end_and_again(tmp_path: Path) -> None:
    output = tmp_path / "out"
    command = ("benchmark", "safety", "--quick", "--output", output, "--methods", "gaussian", "--draws", 2, "--json")
    record = json.loads(cli(*command).stdout)
    assert json.loads((output / "safety.json").read_text()) == record
    assert [m["name"] for m in record["methods"]] == ["noisy", "gaussian"] and record["failed"] == []
    assert record["settings"]["shape"] == [48, 60, 48] and record["settings"]["draws"] == 2
    assert record["beyond"] == []  # limits are for ours

    rows = list(csv.DictReader((output / "safety.csv").open()))
    assert len(rows) == len(record["results"])
    parts = {row["part"] for row in rows}
    fine = {"irregular lesions", "vessels", "edges"}
    assert parts == fine | {"clean", "noise alone", "lesions", "tissue", "repeatability", "residual", "symmetry"}
    kept = {row["method"]: float(row["value"]) for row in rows if (row["measure"], row["case"]) == (
        "contrast kept", "white, 8 mm, 5 sigma")}  # fmt: skip
    assert kept["gaussian"] < 0.8 < 0.95 < kept["noisy"] < 1.05
    text = (output / "safety.md").read_text()
    assert record["pictures"] == {"noise": "slices_0.png", "fine": "slices_1.png"} and "](slices_0.png)" in text
    assert (output / "slices_1.png").stat().st_size > 10_000
    assert all(f"## {part[0].upper()}{part[1:]}" in text for part in parts) and "None of ours." in text
    assert "| measure | of | Noisy | Gaussian, 0.6 voxel | limit |" in text

    kept_results = {path: path.stat().st_mtime_ns for path in (output / "cache").iterdir()}
    assert len(kept_results) == 2 * 6
    again = json.loads(cli(*command).stdout)
    assert again["results"] == record["results"]
    assert kept_results == {path: path.stat().st_mtime_ns for path in (output / "cache").iterdir()}


def test_wrong_usage_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for options, message in (
        (("--output", tmp_path / "file"), "is a file, but the results need a folder"),
        (("--output", tmp_path / "out", "--volumes", tmp_path / "nowhere.nii"), "nowhere.nii: no such file"),
        (
            ("--output", tmp_path / "out", "--parts", "fine,lesions"),
            "part lesions: not known; choose among clean",
        ),
        (("--output", tmp_path / "out", "--diameters", "4,90"), "--diameters 4,90: must be from 0.5 to 8 mm"),
        (("--output", tmp_path / "out", "--amplitudes", "big"), "--amplitudes big: must be numbers"),
        (("--output", tmp_path / "out", "--methods", "bm5d"), "method bm5d: not known"),
        (("--output", tmp_path / "out", "--model", "nothing"), "model nothing: neither"),
    ):
        result = cli("benchmark", "safety", "--quick", *options, code=2)
        assert message in result.stderr and result.stderr.count("\n") == 1
