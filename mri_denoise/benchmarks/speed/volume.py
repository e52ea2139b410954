"""Whole volumes: the seconds and the peak memory of every method in a process of its own."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from mri_denoise.benchmarks.progress import SILENT, Progress
from mri_denoise.benchmarks.speed.methods import candidates
from mri_denoise.benchmarks.speed.timing import PROGRAM, Timing, run_command
from mri_denoise.errors import InputError
from mri_denoise.io.files import reading
from mri_denoise.noise.level import estimate_sigma
from mri_denoise.noise.simulate import add_rician
from mri_denoise.settings import QUALITIES
from mri_denoise.simulation import head_phantom, phantom_affine

NOISE = 0.05
LARGEST = (256, 256, 192)
PATIENCE = 60.0  # seconds; a method that took longer in all is not repeated


@dataclass(frozen=True, kw_only=True)
class VolumeLine:
    """One method on one volume.

    Args:
        name: short name.
        label: name in tables.
        call: seconds of the denoising alone, array to array; None for a whole command.
        whole: seconds of the process: start, imports, reading, denoising, writing.
        cpu_seconds: of all threads of the process, the smallest of all repetitions; other programs on the machine
            change it least. None where the operating system does not report it.
        peak_bytes: largest resident memory; None where the operating system does not report it.
    """

    name: str
    label: str
    call: Timing | None
    whole: Timing
    cpu_seconds: float | None
    peak_bytes: int | None


@dataclass(frozen=True, kw_only=True)
class _Program:
    """What is run: its label, its command for an output, and whether it prints the seconds of the call itself."""

    label: str
    command: Callable[[Path], list[str]]
    times_itself: bool


@dataclass(frozen=True, kw_only=True)
class _Run:
    """One repetition: seconds of the process and of the call, processor seconds and peak memory."""

    whole: float
    call: float | None
    cpu: float | None
    peak: int | None


def make_volume(shape: tuple[int, int, int], path: Path) -> Path:
    """Write the phantom with Rician noise of 5 % as int16 NIfTI.

    Drawing a large head takes long, so volumes above 256 x 256 x 192 are made of copies of one of that size.

    Args:
        shape: voxels along each axis.
        path: the file to write.

    Returns:
        the path.
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
    progress: Progress = SILENT,
) -> tuple[list[VolumeLine], dict[str, str]]:
    """Measure the commands of this package and every method on one volume.

    Args:
        volume: a NIfTI file of one volume.
        model: ours: name or folder of the bundle.
        device: for networks; the other methods run on the CPU.
        repetitions: number of rounds over all methods, in turn; a slow method stops after a minute.
        skip: names of candidates to leave out (:func:`candidates`), or ``command``.
        progress: told which method is measured.

    Returns:
        the lines, and why a method is absent or failed, by its label.

    Raises:
        InputError: if the file does not hold one volume.
    """
    programs, absent = _programs(volume, model, device, skip)
    runs: dict[str, list[_Run]] = {name: [] for name in programs}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(repetitions):
            for name, program in list(programs.items()):
                if number and sum(run.whole for run in runs[name]) > PATIENCE:
                    continue
                progress.say(f"{program.label} ({number + 1} of {repetitions})")
                try:
                    runs[name].append(_once(program, Path(folder) / "out.nii.gz"))
                except InputError as error:
                    absent[program.label] = str(error)
                    del programs[name], runs[name]
    return [_line(name, programs[name].label, found) for name, found in runs.items()], absent


def _programs(volume: Path, model: str, device: str, skip: Sequence[str]) -> tuple[dict[str, _Program], dict[str, str]]:
    """What is run, by short name, and what to do for the methods that are absent, by label."""
    sigma = str(_sigma(volume))
    programs: dict[str, _Program] = {}
    absent: dict[str, str] = {}
    if "command" not in skip:
        for quality in QUALITIES:
            options = ["--model", model, "--device", device, "--quality", quality, "--overwrite"]
            label = f"mri-denoise denoise --quality {quality}"
            command = _command(volume, options)
            programs[f"command-{quality}"] = _Program(label=label, command=command, times_itself=False)
    for candidate in candidates(model, device):
        if candidate.name in skip:
            continue
        if not candidate.available:
            absent[candidate.label] = candidate.hint
            continue
        for name, label in candidate.variants.items():
            command = _child([name, model, device, sigma, str(volume)])
            programs[name] = _Program(label=label, command=command, times_itself=True)
    return programs, absent


def load_volume(path: Path) -> np.ndarray:
    """Read a NIfTI file of one volume, float32 (X, Y, Z).

    Raises:
        InputError: if it cannot be read, or does not hold one volume.
    """
    try:
        with reading(path):
            image: Any = nib.load(path)
            if len(image.shape) != 3:
                raise InputError(f"{path}: has {len(image.shape)} axes; give a NIfTI file of one volume.")
            return np.asarray(image.dataobj, dtype=np.float32)
    except (nib.filebasedimages.ImageFileError, TypeError) as error:  # TypeError: voxels that are colours
        raise InputError(f"{path}: no NIfTI file of one volume, which this benchmark needs.") from error


def _sigma(volume: Path) -> float:
    return float(estimate_sigma(load_volume(volume), slice_axis=2).sigma)


def _command(volume: Path, options: list[str]) -> Callable[[Path], list[str]]:
    return lambda output: [*PROGRAM, "denoise", str(volume), str(output), *options]


def _child(arguments: list[str]) -> Callable[[Path], list[str]]:
    program = [sys.executable, "-m", "mri_denoise.benchmarks.speed.child"]
    return lambda output: [*program, *arguments, str(output)]


def _once(program: _Program, output: Path) -> _Run:
    done = run_command(program.command(output))
    call = done.last_json()["call"] if program.times_itself else None
    return _Run(whole=done.seconds, call=call, cpu=done.cpu_seconds, peak=done.peak_bytes)


def _line(name: str, label: str, runs: Sequence[_Run]) -> VolumeLine:
    calls = [run.call for run in runs if run.call is not None]
    return VolumeLine(
        name=name,
        label=label,
        call=Timing.of(calls) if calls else None,
        whole=Timing.of([run.whole for run in runs]),
        cpu_seconds=min((run.cpu for run in runs if run.cpu is not None), default=None),
        peak_bytes=max((run.peak for run in runs if run.peak is not None), default=None),
    )
