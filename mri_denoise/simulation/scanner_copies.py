"""Write copies of images that went through a simulated scanner, with the truth and sigma beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mri_denoise.io import Case, read
from mri_denoise.io.own_results import RECORD_ENDING
from mri_denoise.io.writing import open_map
from mri_denoise.record import now, versions, write_record
from mri_denoise.simulation.copy_files import published_together
from mri_denoise.simulation.magnitudes import as_magnitudes
from mri_denoise.simulation.noisy_copies import SimulationRecord, simulation_derivation, write_copy
from mri_denoise.simulation.scanner import scan_volume
from mri_denoise.simulation.scanner_choice import FixedParameters, random_parameters
from mri_denoise.simulation.scanner_parameters import ScannerParameters
from mri_denoise.simulation.scanner_postprocess import find_head


def scan_case(case: Case, folder: Path, fixed: FixedParameters, seed: int = 0) -> SimulationRecord:
    """Write a scanned copy of a case, and beside it ``_truth``, ``_sigma`` and its record.

    All volumes of a series go through the same scanner. For the meaning of the
    arrays see :class:`~mri_denoise.simulation.scanner.Scan`.

    Args:
        case: the image.
        folder: where ``case.output`` goes.
        fixed: parameters that are given; the others are drawn.
        seed: of the scanner and of its noise.

    Returns:
        the record, with all parameters of the scanner.

    Raises:
        InputError: if the case cannot be read or has no magnitudes, the copy cannot be written, or the parameters
            exclude each other.
    """
    volume = read(case)
    volume = replace(volume, array=as_magnitudes(volume.array, case.label))
    rng = np.random.default_rng(seed)
    parameters = random_parameters(rng, fixed)
    scans = scan_volume(volume, parameters, rng)
    image, truth, sigma = (np.stack([getattr(s, name) for s in scans]) for name in ("image", "truth", "sigma"))
    image = np.where(np.isfinite(volume.array), image, volume.array)
    settings = f"noise=scanner seed={seed} " + " ".join(f"{k}={v}" for k, v in parameters.record().items())
    derivation = simulation_derivation(settings)
    head = find_head(truth)
    maps = {case.companion(folder, "_truth"): truth, case.companion(folder, "_sigma"): sigma}
    beside = case.companion(folder, "", RECORD_ENDING)
    with published_together(case, folder, [*maps, beside]) as (files, written):
        written += write_copy(image, volume.affine, case, files.place(folder / case.output), derivation)
        for path, array in maps.items():
            writer = open_map(case, files.place(path), affine=volume.affine, count=len(array))
            writer.put(array)
            written += writer.finish(derivation)
        outputs = [files.final(path) for path in written]
        record = _record(case, parameters, seed, sigma[head] if head.any() else sigma, outputs)
        written.append(write_record(record.as_dict(), files.place(beside)))
    return record


def _record(
    case: Case, parameters: ScannerParameters, seed: int, sigma: np.ndarray, outputs: Sequence[Path]
) -> SimulationRecord:
    """How the copy was made.

    Args:
        case: the image.
        parameters: of the scanner.
        seed: of the scanner and of its noise.
        sigma: the levels that the record's one level is the median of.
        outputs: the files of the copy.
    """
    return SimulationRecord(
        time=now(),
        case=case.label,
        noise="scanner",
        level_percent=100 * parameters.level,
        seed=seed,
        sigma=float(np.median(sigma)),
        coils=parameters.coils,
        scanner=parameters.record(),
        outputs=[str(path) for path in outputs],
        versions=versions(),
    )
