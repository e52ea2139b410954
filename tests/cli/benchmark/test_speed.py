"""``mri-denoise benchmark speed`` from outside: what it writes and says, and how it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from mri_denoise.cli.main import app

SLOW = "bm3d,bm4d,ants,nlmeans,dncnn,ours,itk-bilateral,command"


@pytest.mark.slow
def test_quick_from_end_to_end(tmp_path: Path) -> None:
    output = tmp_path / "out"
    skip = f"{SLOW},torch.compile,OpenVINO,scaling,start"
    words = ["benchmark", "speed", "--quick", "--output", str(output), "--skip", skip, "--device", "cpu", "--json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert json.loads((output / "speed.json").read_text()) == record
    assert {"peaks", "networks", "volumes", "machine", "versions", "command", "settings"} <= set(record)
    assert [line["name"] for line in record["volumes"]] == ["tv", "itk-curvature"]
    for line in record["volumes"]:
        assert 0 < line["call"]["least"] < line["whole"]["least"] and line["peak_bytes"] > 20 * 2**20
    assert record["growth"] is None and record["threads"] == {}
    text = (output / "speed.md").read_text()
    for title in ("Network alone", "One volume", "The machine at best"):
        assert f"## {title}" in text
    assert "## Voxels" not in text and "| Total variation | " in text
    with Image.open(output / "speed.png") as image:
        assert image.width > 500


@pytest.mark.slow
def test_quick_with_every_part(tmp_path: Path) -> None:
    words = ["benchmark", "speed", "--quick", "--output", str(tmp_path / "out"), "--skip", "bm3d,bm4d,ants"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    for title in ("Network alone", "One volume", "Start-up", "The machine at best", "Voxels", "Threads", "Batch"):
        assert f"## {title}" in result.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("no.nii",), "no.nii: no such file"),
        (("--skip", "fast"), "--skip fast: must be of machine, network"),
        (("--model", "nothing"), "model nothing: neither"),
    ],
)
def test_wrong_usage_is_one_line(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    output = tmp_path / "out"
    result = CliRunner().invoke(app, ["benchmark", "speed", "--output", str(output), *options])
    assert result.exit_code == 2 and message in result.stderr and result.stderr.count("\n") == 1
    assert not output.exists()
