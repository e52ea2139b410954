"""A Pydra task: ``mri-denoise denoise`` for one NIfTI file.

Copy this file into your project, or put its folder on ``PYTHONPATH``; the command ``mri-denoise`` must be on ``PATH``.
Tried with Pydra 1.0a12.

Examples:
    from mri_denoise_pydra import Denoise

    outputs = Denoise(in_file="sub-01_T1w.nii.gz", strength=0.8)(worker="cf")
    print(outputs.out_file)
"""

# no `from __future__ import annotations`: Pydra reads the types of the fields while the class is made
from pathlib import Path

from fileformats.generic import File
from pydra.compose import shell


def beside(out_file: Path, end: str) -> Path:
    """A file beside a result."""
    stem = out_file.name.removesuffix(".gz").rpartition(".")[0]
    return out_file.with_name(f"{stem}{end}")


def record_of(out_file: Path) -> Path:
    """The run record beside a result."""
    return beside(out_file, ".mri-denoise.json")


def residual_of(out_file: Path, residual: bool) -> Path | None:
    """What was removed, if it was asked for."""
    return beside(out_file, "_residual.nii.gz") if residual else None


def noise_of(out_file: Path, noise_map: bool) -> Path | None:
    """The map of the noise level, if it was asked for."""
    return beside(out_file, "_noise.nii.gz") if noise_map else None


def uncertainty_of(out_file: Path, tta: bool) -> Path | None:
    """How far the mirror images differ, if they were averaged."""
    return beside(out_file, "_uncertainty.nii.gz") if tta else None


def figure_of(out_file: Path, figure: bool) -> Path | None:
    """The figure, if it was asked for."""
    return beside(out_file, "_figure.png") if figure else None


def report_of(out_file: Path, report: bool) -> Path | None:
    """The page, if it was asked for."""
    return beside(out_file, "_report.html") if report else None


@shell.define
class Denoise(shell.Task["Denoise.Outputs"]):
    """Denoise a volume or a series; header, data type and scaling are the source's."""

    executable = ["mri-denoise", "denoise"]
    in_file: File = shell.arg(argstr="", position=1, help="NIfTI, Analyze or MGH file")
    model: str = shell.arg(argstr="--model", default="rician", help="rician, or the folder of a MONAI bundle")
    sigma: str = shell.arg(argstr="--sigma", default="auto", help="auto, map, a number in the file's unit, or a map")
    strength: float = shell.arg(argstr="--strength", default=1.0, help="0 gives the input back, 1 is full")
    quality: str = shell.arg(
        argstr="--quality",
        default="balanced",
        allowed_values=["fast", "balanced", "best"],
        help="time against accuracy",
    )
    no_guard: bool = shell.arg(
        argstr="--no-guard", default=False, help="do not give back what was removed and noise does not explain"
    )
    tta: bool = shell.arg(
        argstr="--tta", default=False, help="average over mirror images, and write how far they differ"
    )
    device: str = shell.arg(argstr="--device", default="auto", help="auto, cpu, cuda or mps")
    residual: bool = shell.arg(argstr="--residual", default=False, help="also write what was removed")
    noise_map: bool = shell.arg(argstr="--noise-map", default=False, help="also write the noise level at each voxel")
    figure: bool = shell.arg(argstr="--figure", default=False, help="also draw input, output and residual")
    report: bool = shell.arg(argstr="--report", default=False, help="also write an HTML page")
    force: bool = shell.arg(argstr="--force", default=False, help="also take phase images, maps, masks and own results")
    trust: bool = shell.arg(
        argstr="--trust", default=False, help="run the code in the configs of a bundle that is not known here"
    )
    overwrite: bool = shell.arg(argstr="--overwrite", default=True, help="replace the result of an earlier run")

    class Outputs(shell.Outputs):
        """Files of the result."""

        out_file: File = shell.outarg(
            argstr="", position=2, path_template="{in_file}_denoised", help="the denoised image"
        )
        record_file: File = shell.out(callable=record_of, help="run record: hashes, settings, noise level, versions")
        residual_file: File | None = shell.out(callable=residual_of, help="input minus result")
        noise_file: File | None = shell.out(callable=noise_of, help="noise level at each voxel")
        uncertainty_file: File | None = shell.out(callable=uncertainty_of, help="how far the mirror images differ")
        figure_file: File | None = shell.out(callable=figure_of, help="input, output and residual as PNG")
        report_file: File | None = shell.out(callable=report_of, help="the HTML page")
