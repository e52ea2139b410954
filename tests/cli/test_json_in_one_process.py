"""Several commands in one process: ``--json`` of one says nothing of the next."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from mri_denoise.cli.main import app


def test_json_is_that_of_one_command(tmp_path: Path) -> None:
    run = CliRunner().invoke
    first = run(app, ["noise", str(tmp_path), "--json"])
    assert first.exit_code == 1 and first.stdout.startswith("{")
    second = run(app, ["dicom", str(tmp_path)])
    assert second.exit_code == 1 and not second.stdout
