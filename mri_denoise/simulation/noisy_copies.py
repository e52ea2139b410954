"""Noisy copies of images, with a record from which they can be made again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mri_denoise import __version__
from mri_denoise import record as provenance
from mri_denoise.io import Case, Derivation, open_map, read, write
from mri_denoise.noise.simulate import add_rician, add_salt_pepper
from mri_denoise.volume import slice_axis_of


def simulate_case(
    case: Case, folder: Path, noise: str, level: float, seed: int = 0, coils: int = 1, band: float = 1.0
) -> dict[str, Any]:
    """Write a noisy copy of a case.

    Args:
        case: the image.
        folder: where ``case.output`` goes.
        noise: ``"rician"``, ``"nc-chi"`` or ``"salt-pepper"``.
        level: percent: sigma of the image's maximum, or density of salt and pepper.
        seed: of ``numpy.random.default_rng``.
        coils: receiver channels; 1 is Rician.
        band: share of k-space along each axis of a slice that was measured; below 1, noise is correlated as after
            zero-filling, and the image itself stays as sharp as it is.

    Returns:
        the run record.

    Raises:
        InputError: if the case cannot be read or the copy not written.
    """
    volume = read(case)
    finite = np.isfinite(volume.array)
    peak = float(np.max(volume.array, where=finite, initial=-np.inf)) if finite.any() else 0.0
    rng = np.random.default_rng(seed)
    record: dict[str, Any] = {"time": provenance.now(), "noise": noise, "level_percent": level, "seed": seed}
    if noise == "salt-pepper":
        white = peak if volume.white_level is None else volume.white_level
        noisy = add_salt_pepper(volume.array, level / 100, rng, pepper=0.0, salt=white)
        record["density"] = level / 100
    else:
        sigma = level / 100 * peak
        across = 1 + slice_axis_of(volume) if band < 1 else 1  # a band is that of slices; white noise knows none
        noisy = add_rician(volume.array.swapaxes(1, across), sigma, rng, coils, band).swapaxes(1, across)
        record |= {"sigma": sigma, "coils": coils, "band": band}
    noisy = np.where(finite, noisy, volume.array)
    destination = folder / case.output
    settings = f"noise={noise} level={level} seed={seed} coils={coils} band={band}"
    derivation = Derivation(
        model="simulation",
        version=__version__,
        weights_sha256="",
        sigma=settings,
        strength=1.0,
        software_version=__version__,
        settings=settings,
        added_noise=True,
    )
    if case.picture or case.series:
        files = write(case, noisy, destination, derivation)
    else:
        writer = open_map(case, destination, affine=volume.affine, count=len(noisy))
        writer.put(noisy)
        files = writer.finish(derivation)
    record |= {"outputs": [str(p) for p in files], "case": case.label, "versions": provenance.versions()}
    provenance.write_record(record, case.companion(folder, "", ".mri-denoise.json"))
    return record
