"""Write noisy copies of images, each with a record from which it can be made again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from mri_denoise import __version__
from mri_denoise.errors import InputError
from mri_denoise.io import Case, Derivation, read
from mri_denoise.io.own_results import RECORD_ENDING
from mri_denoise.io.writing import open_map, write
from mri_denoise.noise.simulate import add_rician, add_salt_pepper
from mri_denoise.record import now, versions, write_record
from mri_denoise.simulation.copy_files import published_together
from mri_denoise.simulation.magnitudes import as_magnitudes
from mri_denoise.volume import Volume, slice_axis_of

AddedNoise = Literal["rician", "nc-chi", "salt-pepper"]
NoiseKind = Literal[AddedNoise, "scanner"]


@dataclass(frozen=True, kw_only=True)
class NoiseParameters:
    """What noise is added to an image.

    Args:
        noise: ``"rician"``, ``"nc-chi"`` (non-central chi) or ``"salt-pepper"``; a scanner is simulated by
            :func:`~mri_denoise.simulation.scanner_copies.scan_case`.
        level: percent: sigma of the image's maximum, of a series that of all its volumes; or the density of salt and
            pepper.
        seed: of ``numpy.random.default_rng``.
        coils: receiver channels of ``"nc-chi"``; with 1 it is Rician.
        coverage: fraction of k-space along each axis of a slice that was acquired, above 0 and at most 1. Below 1 the
            noise is correlated as after zero-filling; the image itself keeps its sharpness. Not for salt and pepper.

    Raises:
        InputError: for another kind of noise, a value out of its range, or one that the kind does without.
    """

    noise: AddedNoise = "rician"
    level: float = 5.0
    seed: int = 0
    coils: int = 1
    coverage: float = 1.0

    def __post_init__(self) -> None:
        kinds = get_args(AddedNoise)
        if self.noise not in kinds:
            raise InputError(f"noise {self.noise}: must be {', '.join(kinds[:-1])} or {kinds[-1]}.")
        if not 0 <= self.level < math.inf or (self.noise == "salt-pepper" and self.level > 100):
            raise InputError(f"level {self.level}: must be a percentage from 0 on, of salt and pepper up to 100.")
        if self.coils < 1 or (self.coils != 1 and self.noise != "nc-chi"):
            raise InputError(f"coils {self.coils}: must be at least 1, and go with the noise nc-chi.")
        if not 0 < self.coverage <= 1 or (self.coverage != 1 and self.noise == "salt-pepper"):
            raise InputError(f"coverage {self.coverage}: must be above 0 and at most 1, and goes not with salt-pepper.")


@dataclass(frozen=True, kw_only=True)
class SimulationRecord:
    """How a noisy copy was made.

    Args:
        time: when it was made, UTC, ISO 8601.
        case: how messages name the image.
        noise: kind of noise.
        level_percent: the level that was asked for, or drawn.
        seed: of the noise.
        density: fraction of the pixels that were replaced (salt and pepper).
        sigma: standard deviation of the noise in the image's units (not for salt and pepper), like the next two; the
            median over the head for a scanner.
        coils: receiver channels.
        coverage: fraction of k-space that was acquired.
        scanner: all parameters of the simulated scanner.
        outputs: the files of the copy.
        versions: of this package and of those that shape the result.
    """

    time: str
    case: str
    noise: NoiseKind
    level_percent: float
    seed: int
    density: float | None = None
    sigma: float | None = None
    coils: int | None = None
    coverage: float | None = None
    scanner: Mapping[str, float | int | str | bool | None] | None = None
    outputs: Sequence[str]
    versions: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Give the record in types that JSON knows, without what does not apply to its kind of noise."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def simulate_case(case: Case, folder: Path, parameters: NoiseParameters) -> SimulationRecord:
    """Write a noisy copy of a case, and its record beside it.

    NIfTI files become float32; other formats keep their type.

    Args:
        case: the image.
        folder: where ``case.output`` goes.
        parameters: of the noise.

    Returns:
        the record.

    Raises:
        InputError: if the case cannot be read, the copy cannot be written, or noise of magnitudes is asked for and the
            image has none (:func:`~mri_denoise.simulation.magnitudes.as_magnitudes`).
    """
    volume = read(case)
    finite = np.isfinite(volume.array)
    peak = float(np.max(volume.array, where=finite, initial=-np.inf)) if finite.any() else 0.0
    density = sigma = coils = coverage = None
    if parameters.noise == "salt-pepper":
        density = parameters.level / 100
        white = peak if volume.white_level is None else volume.white_level
        noisy = add_salt_pepper(volume.array, density, np.random.default_rng(parameters.seed), pepper=0.0, salt=white)
    else:
        volume = replace(volume, array=as_magnitudes(volume.array, case.label))
        sigma, coils, coverage = parameters.level / 100 * peak, parameters.coils, parameters.coverage
        noisy = _add_rician(volume, sigma, parameters)
    noisy = np.where(finite, noisy, volume.array)
    derivation = simulation_derivation(
        f"noise={parameters.noise} level={parameters.level} seed={parameters.seed} coils={parameters.coils} "
        f"coverage={parameters.coverage}"
    )
    beside = case.companion(folder, "", RECORD_ENDING)
    with published_together(case, folder, [beside]) as (files, written):
        written += write_copy(noisy, volume.affine, case, files.place(folder / case.output), derivation)
        record = SimulationRecord(
            time=now(),
            case=case.label,
            noise=parameters.noise,
            level_percent=parameters.level,
            seed=parameters.seed,
            density=density,
            sigma=sigma,
            coils=coils,
            coverage=coverage,
            outputs=[str(files.final(path)) for path in written],
            versions=versions(),
        )
        written.append(write_record(record.as_dict(), files.place(beside)))
    return record


def _add_rician(volume: Volume, sigma: float, parameters: NoiseParameters) -> np.ndarray:
    """The noisy array, shape (T, X, Y, Z)."""
    rng = np.random.default_rng(parameters.seed)
    # zero-filling happens within slices, which have to be the last two axes; the axes do not matter for white noise
    axis = 1 + slice_axis_of(volume) if parameters.coverage < 1 else 1
    slices = volume.array.swapaxes(1, axis)
    return add_rician(slices, sigma, rng, parameters.coils, parameters.coverage).swapaxes(1, axis)


def simulation_derivation(settings: str) -> Derivation:
    """Describe how a noisy copy was made.

    Args:
        settings: all parameters in one line. DICOM derives identifiers from it: other words would give the same copy
            other identifiers.
    """
    return Derivation(
        model="simulation",
        version=__version__,
        weights_sha256="",
        sigma=settings,
        strength=1.0,
        software_version=__version__,
        settings=settings,
        added_noise=True,
    )


def write_copy(
    noisy: np.ndarray, affine: np.ndarray, case: Case, destination: Path, derivation: Derivation
) -> list[Path]:
    """Write a noisy copy.

    Args:
        noisy: shape (T, X, Y, Z).
        affine: 4 x 4, voxel index to RAS+ mm.
        case: the image that was copied.
        destination: the copy: a file, or for DICOM a folder.
        derivation: of :func:`simulation_derivation`.

    Returns:
        its files.

    Raises:
        OutputError: if it cannot be written.
    """
    if case.picture or case.series:
        return write(case, noisy, destination, derivation)
    writer = open_map(case, destination, affine=affine, count=len(noisy))
    writer.put(noisy)
    return writer.finish(derivation)
