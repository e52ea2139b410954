"""The end of a denoising chain: the result on disk, with what a user may want beside it."""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from mri_denoise import __version__, provenance
from mri_denoise.io import write
from mri_denoise.io.case import Case, Derivation
from mri_denoise.io.maps import companion, write_map
from mri_denoise.weights import sha256


class SaveVolumed(MapTransform):
    """Write the denoised image with its source's headers, and a run record beside it.

    Args:
        keys: the denoised image of shape (T, X, Y, Z) in the file's units.
        cases: what :func:`mri_denoise.io.discover` found.
        output_dir: where ``Case.output`` goes.
        model: name and version of the bundle, and SHA-256 of its weights: ``{"name", "version", "weights_sha256"}``.
        settings: everything else that shapes the result, for the record and for DICOM's identifiers.
        extras: which companions to write: ``"residual"`` (input minus output), ``"noise-map"`` (sigma at each voxel),
            ``"figure"`` (input, output and absolute residual as a picture).
        keep_vendor_headers: of DICOM, keep private blocks that describe the old pixels (Siemens CSA).
        case_key: name of the item's case number.
        raw_key: the image as it was read.
        sigma_key: noise level in the file's units, if the item has one.
    """

    def __init__(
        self,
        keys: KeysCollection,
        cases: Sequence[Case],
        output_dir: str | Path,
        model: Mapping[str, str],
        settings: Mapping[str, Any] | None = None,
        extras: Sequence[str] = (),
        keep_vendor_headers: bool = False,
        case_key: str = "case",
        raw_key: str = "raw",
        sigma_key: str = "sigma",
    ) -> None:
        super().__init__(keys)
        self.cases, self.output_dir, self.model = cases, Path(output_dir), dict(model)
        self.settings, self.extras = dict(settings or {}), tuple(extras)
        self.keep_vendor_headers = keep_vendor_headers
        self.case_key, self.raw_key, self.sigma_key = case_key, raw_key, sigma_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write; the item gets the record under ``record``."""
        d = dict(data)
        case = self.cases[int(d[self.case_key])]
        destination = self.output_dir / case.output
        result = np.asarray(d[self.keys[0]])
        sigma = d.get(self.sigma_key)
        files = write(case, result, destination, self._derivation(sigma), keep_vendor_headers=self.keep_vendor_headers)
        affine = np.asarray(d[self.raw_key].affine, dtype=np.float64)
        beside = self._write_extras(case, destination, np.asarray(d[self.raw_key]), result, sigma, affine)
        record = {
            "time": provenance.now(),
            "model": self.model,
            "settings": self.settings,
            "sigma": _describe(sigma),
            "sigma_variation": _describe(d.get(f"{self.sigma_key}_variation")),
            "case": case.label,
            "inputs": [{"path": str(p), "sha256": sha256(p)} for p in case.sources],
            "outputs": [str(p) for p in files],
            "companions": [str(p) for p in beside],
            "seconds": round(time.monotonic() - d["started"], 3) if "started" in d else None,
            "versions": provenance.versions(),
        }
        provenance.write_record(record, companion(case, destination, "", ".mri-denoise.json"))
        d["record"] = record
        return d

    def _derivation(self, sigma: torch.Tensor | None) -> Derivation:
        level = _describe(sigma)
        given = self.settings.get("sigma", "auto")
        if level is None:
            text = "not used"
        else:
            origin = "estimated" if given in ("auto", "map") else "given"
            text = f"{origin}, " + ", ".join(f"{value:.6g}" for value in level)
        return Derivation(
            model=self.model["name"],
            version=self.model["version"],
            weights_sha256=self.model["weights_sha256"],
            sigma=text,
            strength=float(self.settings.get("strength", 1.0)),
            software_version=__version__,
            settings=" ".join(f"{key}={value}" for key, value in sorted(self.settings.items())),
        )

    def _write_extras(
        self,
        case: Case,
        destination: Path,
        raw: np.ndarray,
        result: np.ndarray,
        sigma: torch.Tensor | None,
        affine: np.ndarray,
    ) -> list[Path]:
        written = []
        if "residual" in self.extras:
            written.append(write_map(raw - result, affine, case, companion(case, destination, "_residual")))
        if "noise-map" in self.extras and sigma is not None:
            level = np.asarray(sigma, dtype=np.float32)
            level = level.reshape(*level.shape, *[1] * (4 - level.ndim))
            whole = np.broadcast_to(level, result.shape)
            written.append(write_map(whole, affine, case, companion(case, destination, "_noise")))
        if "figure" in self.extras:
            from mri_denoise.report.figures import comparison

            picture = companion(case, destination, "_figure", ".png")
            if case.kind == "image":
                comparison(raw[0, :, :, 0], result[0, :, :, 0], picture)
            else:
                comparison(raw, result, picture, affine=affine)
            written.append(picture)
        return written


def _describe(sigma: torch.Tensor | None) -> list[float] | None:
    """One number a volume: the level, or the median of a map."""
    if sigma is None:
        return None
    sigma = torch.as_tensor(sigma, dtype=torch.float32)
    return [float(np.float32(value)) for value in sigma.reshape(sigma.shape[0], -1).median(dim=1).values]
