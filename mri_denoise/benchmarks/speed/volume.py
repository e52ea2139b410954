"""Whole volumes: every method in a process of its own, with its seconds and its peak memory."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from mri_denoise.benchmarks.speed.methods import VolumeMethod, volume_methods
from mri_denoise.benchmarks.speed.timing import Timing, run_command
from mri_denoise.errors import InputError
from mri_denoise.noise.simulate import add_rician
from mri_denoise.simulation import head_phantom, phantom_affine

PROGRAM = (sys.executable, "-m", "mri_denoise.cli.main")
NOISE = 0.05
LARGEST = (256, 256, 192)
PATIENCE = 60.0  # seconds; what takes longer in all is not begun once more


@dataclass(frozen=True)
class VolumeLine:
    """One method on one volume.

    Args:
        name: short name.
        label: as in tables.
        call: seconds of the denoising alone, array to array; None for a whole command.
        whole: seconds of the process: start, imports, reading, denoising, writing.
        cpu_seconds: of all threads of the process, which other programs on the machine change least: the smallest of
            all repetitions; None where the operating system does not tell.
        peak_bytes: largest resident memory; None where the operating system does not tell.
    """

    name: str
    label: str
    call: Timing | None
    whole: Timing
    cpu_seconds: float | None
    peak_bytes: int | None


@dataclass(frozen=True)
class _Program:
    """What is run: its label, its command for an output, and whether it prints the seconds of the call by itself."""

    label: str
    command: Callable[[Path], list[str]]
    times_itself: bool


def make_volume(shape: tuple[int, int, int], path: Path) -> Path:
    """Write the phantom with Rician noise of 5 % as int16 NIfTI, repeated where ``shape`` is large.

    Drawing a large head takes long, so volumes above 256 x 256 x 192 are made of copies of one of that size.
    """
    nx, ny, nz = (max(min(n, limit), 8) for n, limit in zip(shape, LARGEST, strict=True))
    head = head_phantom((nx, ny, nz))
    rng, slices = np.random.default_rng(0), np.empty(shape, dtype=np.int16)
    copies = tuple(-(-n // m) for n, m in zip(shape[:2], head.shape[:2], strict=True))
    for index in range(shape[2]):  # slice by slice, so that the noise of a large volume needs no memory
        plane = np.tile(head[:, :, index % head.shape[2]], copies)[: shape[0], : shape[1]]
        slices[:, :, index] = np.round(900 * add_rician(plane, NOISE, rng))
    image = nib.Nifti1Image(slices, phantom_affine(shape, (1.0, 1.0, 1.0)))
    nib.save(image, path)
    return path


def measure_volumes(
    volume: Path,
    model: str,
    device: str,
    repetitions: int,
    skip: Sequence[str] = (),
    say: Callable[[str], None] = lambda what: None,
) -> tuple[list[VolumeLine], dict[str, str]]:
    """Measure the commands of this package and every method on one volume.

    Args:
        volume: a NIfTI file of one volume.
        model: of ours: name or folder of the bundle.
        device: for networks; others know the CPU alone.
        repetitions: rounds over all methods, in turn; what is slow drops out after a minute.
        skip: stems of methods to leave out (see :class:`VolumeMethod`), or ``command``.
        say: told what begins.

    Returns:
        the lines, and those that are absent or failed with the reason.
    """
    sigma = str(_sigma(volume))
    programs: dict[str, _Program] = {}
    absent: dict[str, str] = {}
    if "command" not in skip:
        for planes in ("1", "3"):
            options = ["--model", model, "--device", device, "--planes", planes, "--overwrite"]
            label = f"mri-denoise denoise --planes {planes}"
            programs[f"command-{planes}"] = _Program(label, _command(volume, options), False)
    for method in volume_methods(device):
        if method.stem in skip:
            continue
        hint = method.absent()
        if hint:
            absent[method.label] = hint
        else:
            programs[method.name] = _Program(method.label, _child(method, model, device, sigma, volume), True)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in programs}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(repetitions):
            for name, program in list(programs.items()):
                if number and sum(run["whole"] for run in runs[name]) > PATIENCE:
                    continue
                say(f"{program.label} ({number + 1} of {repetitions})")
                try:
                    runs[name].append(_once(program, Path(folder) / "out.nii.gz"))
                except InputError as error:
                    absent[program.label] = str(error)
                    del programs[name], runs[name]
    return [_line(name, programs[name].label, found) for name, found in runs.items()], absent


def _sigma(volume: Path) -> float:
    from mri_denoise.noise.level import estimate_sigma

    image: Any = nib.load(volume)
    if len(image.shape) != 3:
        raise InputError(f"{volume}: has {len(image.shape)} axes; give a NIfTI file of one volume.")
    return float(estimate_sigma(np.asarray(image.dataobj, dtype=np.float32), slice_axis=2).sigma)


def _command(volume: Path, options: list[str]) -> Callable[[Path], list[str]]:
    return lambda output: [*PROGRAM, "denoise", str(volume), str(output), *options]


def _child(method: VolumeMethod, model: str, device: str, sigma: str, volume: Path) -> Callable[[Path], list[str]]:
    program = [sys.executable, "-m", "mri_denoise.benchmarks.speed.child"]
    return lambda output: [*program, method.name, model, device, sigma, str(volume), str(output)]


def _once(program: _Program, output: Path) -> dict[str, Any]:
    done = run_command(program.command(output))
    call = done.last_json()["call"] if program.times_itself else None
    return {"whole": done.seconds, "call": call, "cpu": done.cpu_seconds, "peak": done.peak_bytes}


def _line(name: str, label: str, runs: list[dict[str, Any]]) -> VolumeLine:
    calls = [run["call"] for run in runs if run["call"] is not None]
    peaks = [run["peak"] for run in runs if run["peak"] is not None]
    seconds = [run["cpu"] for run in runs if run["cpu"] is not None]
    whole, call = Timing.of([run["whole"] for run in runs]), Timing.of(calls) if calls else None
    return VolumeLine(name, label, call, whole, min(seconds, default=None), max(peaks, default=None))
