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


def record_of(out_file: Path) -> Path:
    """The run record beside a result."""
    stem = out_file.name.removesuffix(".gz").rpartition(".")[0]
    return out_file.with_name(f"{stem}.mri-denoise.json")


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
    device: str = shell.arg(argstr="--device", default="auto", help="auto, cpu, cuda or mps")
    overwrite: bool = shell.arg(argstr="--overwrite", default=True, help="replace the result of an earlier run")

    class Outputs(shell.Outputs):
        """Files of the result."""

        out_file: File = shell.outarg(
            argstr="", position=2, path_template="{in_file}_denoised", help="the denoised image"
        )
        record_file: File = shell.out(callable=record_of, help="run record: hashes, settings, noise level, versions")
