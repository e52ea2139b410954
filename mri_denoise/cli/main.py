"""The command ``mri-denoise``."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from mri_denoise import __version__
from mri_denoise.cli import data, dicomweb, json_output
from mri_denoise.cli.adapt import adapt
from mri_denoise.cli.benchmark import app as benchmark
from mri_denoise.cli.bids import bids
from mri_denoise.cli.demo import demo
from mri_denoise.cli.denoise import denoise
from mri_denoise.cli.dicom import dicom
from mri_denoise.cli.doctor import doctor
from mri_denoise.cli.evaluate import evaluate
from mri_denoise.cli.many_values import ManyValues
from mri_denoise.cli.models import models
from mri_denoise.cli.no_empty import NoEmptyArguments
from mri_denoise.cli.node import node
from mri_denoise.cli.noise import noise
from mri_denoise.cli.report import report
from mri_denoise.cli.simulate import simulate
from mri_denoise.cli.train import train
from mri_denoise.runtime import end_tidily

app = typer.Typer(
    name="mri-denoise",
    cls=NoEmptyArguments,
    help="Denoise MR images, headers preserved. For research, not for diagnosis.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for command in (denoise, report, dicom, noise, simulate, evaluate, train, adapt, models, demo, doctor, node):
    app.command()(command)
app.command(cls=ManyValues)(bids)
app.add_typer(benchmark.app, name="benchmark")
app.add_typer(data.app, name="data")
app.add_typer(dicomweb.app, name="dicomweb")


def _version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Denoise MR images, headers preserved. For research, not for diagnosis."""
    json_output.begin()
    end_tidily()
    # Read when torch loads GNU's OpenMP: how long a thread that is done spins before it sleeps. By default that is
    # milliseconds, which beside other work, where its partner waits for a core, takes longer than the work itself.
    if not os.environ.keys() & {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}:
        os.environ["GOMP_SPINCOUNT"] = "10000"
    # Read when numpy is imported. Threads of its OpenBLAS spin as well: beside other work the small products that
    # measure the noise took five times the processor time with two threads.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("MRI_DENOISE_QUICK_IMPORT", "1")  # of MONAI, in this process and those that it starts


if __name__ == "__main__":
    app()
