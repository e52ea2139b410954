"""``mri-denoise benchmark``."""

from __future__ import annotations

import typer

from mri_denoise.cli.benchmark.accuracy import accuracy
from mri_denoise.cli.benchmark.paper import paper
from mri_denoise.cli.benchmark.repeats import repeats
from mri_denoise.cli.benchmark.safety import safety
from mri_denoise.cli.benchmark.scanners import scanners
from mri_denoise.cli.benchmark.scans import scans
from mri_denoise.cli.benchmark.speed import speed

app = typer.Typer(
    help="Measure denoisers: against the truth, on real noise, their safety, and their speed.", no_args_is_help=True
)


@app.callback()
def main() -> None:
    """Measure denoisers: against the truth, on real noise, their safety, and their speed."""


for command in (accuracy, paper, repeats, safety, scanners, scans, speed):
    app.command()(command)
