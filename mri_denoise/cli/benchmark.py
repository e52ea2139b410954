"""``mri-denoise benchmark``."""

from __future__ import annotations

import typer

from mri_denoise.cli.benchmark_accuracy import accuracy
from mri_denoise.cli.benchmark_paper import paper
from mri_denoise.cli.benchmark_repeats import repeats

app = typer.Typer(help="Measure denoisers: against the truth, and on real noise.", no_args_is_help=True)


@app.callback()
def main() -> None:
    """Measure denoisers: against the truth, and on real noise."""


for command in (accuracy, paper, repeats):
    app.command()(command)
