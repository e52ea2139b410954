"""A Nipype interface: ``mri-denoise denoise`` for one NIfTI file as a node.

Copy this file into your project, or put its folder on ``PYTHONPATH``; the command ``mri-denoise`` must be on ``PATH``.
Tried with Nipype 1.11.

Examples:
    from nipype import Node
    from mri_denoise_nipype import Denoise

    node = Node(Denoise(in_file="sub-01_T1w.nii.gz", strength=0.8), name="denoise")
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nipype.interfaces.base import CommandLine, CommandLineInputSpec, File, TraitedSpec, isdefined, traits

_SUFFIXES = (".nii.gz", ".hdr.gz", ".img.gz", ".nii", ".mgz", ".mgh", ".img", ".hdr")

# option: output, and the end of its name
_COMPANIONS = {
    "residual": ("residual_file", "_residual.nii.gz"),
    "noise_map": ("noise_file", "_noise.nii.gz"),
    "tta": ("uncertainty_file", "_uncertainty.nii.gz"),
    "figure": ("figure_file", "_figure.png"),
    "report": ("report_file", "_report.html"),
}


class DenoiseInputSpec(CommandLineInputSpec):
    """Options of ``mri-denoise denoise`` that concern one volume."""

    in_file = File(exists=True, mandatory=True, argstr="%s", position=0, desc="NIfTI, Analyze or MGH file")
    out_file = File(
        argstr="%s",
        position=1,
        name_source="in_file",
        name_template="%s_denoised",
        keep_extension=True,
        desc="the result",
    )
    model = traits.Str(argstr="--model %s", desc="rician, or the folder of a MONAI bundle")
    sigma = traits.Str(argstr="--sigma %s", desc="auto, map, a number in the file's unit, or a NIfTI map")
    strength = traits.Range(low=0.0, high=1.0, argstr="--strength %g", desc="0 gives the input back, 1 is full")
    quality = traits.Enum("balanced", "fast", "best", argstr="--quality %s", desc="time against accuracy")
    no_guard = traits.Bool(argstr="--no-guard", desc="do not give back what was removed and noise does not explain")
    tta = traits.Bool(argstr="--tta", desc="average over mirror images, and write how far they differ")
    device = traits.Str(argstr="--device %s", desc="auto, cpu, cuda or mps")
    residual = traits.Bool(argstr="--residual", desc="also write what was removed")
    noise_map = traits.Bool(argstr="--noise-map", desc="also write the noise level at each voxel")
    figure = traits.Bool(argstr="--figure", desc="also draw input, output and residual")
    report = traits.Bool(argstr="--report", desc="also write an HTML page")
    force = traits.Bool(argstr="--force", desc="also take phase images, maps, masks and own results")
    trust = traits.Bool(argstr="--trust", desc="run the code in the configs of a bundle that is not known here")
    overwrite = traits.Bool(True, usedefault=True, argstr="--overwrite", desc="replace the result of an earlier run")


class DenoiseOutputSpec(TraitedSpec):
    """Files of the result."""

    out_file = File(exists=True, desc="the denoised image, with the header of its source")
    record_file = File(exists=True, desc="run record: hashes, settings, noise level, versions")
    residual_file = File(desc="input minus result")
    noise_file = File(desc="noise level at each voxel")
    uncertainty_file = File(desc="how far the mirror images differ")
    figure_file = File(desc="input, output and residual as PNG")
    report_file = File(desc="the HTML page")


class Denoise(CommandLine):
    """Denoise a volume or a series; header, data type and scaling are the source's."""

    _cmd = "mri-denoise denoise"
    input_spec = DenoiseInputSpec
    output_spec = DenoiseOutputSpec

    def _run_interface(self, runtime: Any, correct_return_codes: tuple[int, ...] = (0,)) -> Any:
        # Nipype 1.11 calls raise_exception nowhere: the result of an earlier run passed for that of a run that failed
        runtime = super()._run_interface(runtime, correct_return_codes)
        if runtime.returncode not in correct_return_codes:
            self.raise_exception(runtime)
        return runtime

    def _list_outputs(self) -> dict[str, Any]:
        outputs = super()._list_outputs()
        result = Path(outputs["out_file"])
        suffix = next((s for s in _SUFFIXES if result.name.endswith(s)), result.suffix)
        stem = result.name.removesuffix(suffix)
        outputs["record_file"] = str(result.with_name(f"{stem}.mri-denoise.json"))
        for wanted, (name, end) in _COMPANIONS.items():
            if isdefined(getattr(self.inputs, wanted)) and getattr(self.inputs, wanted):
                outputs[name] = str(result.with_name(f"{stem}{end}"))
        return outputs
