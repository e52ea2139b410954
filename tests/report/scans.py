"""Denoised scans on disk as a run leaves them, made without a network: the result is the truth and a little noise."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from mri_denoise.bundles.registry import Model
from mri_denoise.record import FileHash, RunRecord, write_record
from mri_denoise.simulation import phantom_affine
from tests.phantoms import head

SHAPE = (36, 40, 14)
SIGMA = 40.0


def images(seed: int = 0, sigma: float = SIGMA) -> tuple[np.ndarray, np.ndarray]:
    """A noisy phantom, and the same with half of the noise's standard deviation; float32."""
    clean = 1000 * head(SHAPE)
    real, imaginary = np.random.default_rng(seed).normal(0, sigma, (2, *SHAPE))
    noisy, better = (np.hypot(clean + part * real, part * imaginary).astype(np.float32) for part in (1.0, 0.5))
    return noisy, better


def save(path: Path, array: np.ndarray, descrip: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(array, phantom_affine(array.shape[:3]))
    image.header["descrip"] = descrip.encode()
    nib.save(image, path)
    return path


def write_scan(
    folder: Path,
    name: str = "sub-01_T1w",
    *,
    before: np.ndarray | None = None,
    after: np.ndarray | None = None,
    sigma: float | None = SIGMA,
    descrip: str = "",
    **changes: Any,
) -> Path:
    """Input in ``raw``, result and record in ``out``; gives the path of the record."""
    noisy, better = images()
    source = save(folder / "raw" / f"{name}.nii.gz", noisy if before is None else before, descrip)
    result = save(folder / "out" / f"{name}.nii.gz", better if after is None else after, descrip)
    fields: dict[str, Any] = {
        "time": "2026-01-02T03:04:05+00:00",
        "case": f"{name}.nii.gz",
        "model": Model(name="hmad_rician", version="1.2.3", weights_sha256="ab" * 32),
        "settings": {"sigma": "auto", "strength": 1.0},
        "sigma": None if sigma is None else [sigma],
        "sigma_variation": None,
        "zero": None if sigma is None else [0.0],
        "returned": [321],
        "cautions": [],
        "changed": [True],
        "device": "cpu",
        "collaborative_filter": None,
        "inputs": [FileHash(path=str(source), sha256=hashlib.sha256(source.read_bytes()).hexdigest())],
        "outputs": [str(result)],
        "companions": [],
        "seconds": 1.5,
        "versions": {"mri-denoise": "0.1.0"},
    }
    record = RunRecord(**fields | changes)
    return write_record(record.as_dict(), result.with_name(f"{name}.mri-denoise.json"))
