"""The end of a denoising chain: the result on disk, with what a user may want beside it."""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from mri_denoise import __version__
from mri_denoise import record as provenance
from mri_denoise.bundles.weights import sha256
from mri_denoise.io import write
from mri_denoise.io.case import Case, Derivation
from mri_denoise.io.chunks import Chunk, chunk_of
from mri_denoise.io.nifti.image import SeriesWriter
from mri_denoise.io.nifti.maps import MapWriter, companion

_SUFFIXES = {"residual": "_residual", "noise-map": "_noise"}


@dataclass
class _Open:
    """The results of a case while they are being written.

    Args:
        case: the case.
        destination: of its result.
        started: clock when it began, if known.
        writer: of a series in parts.
        files: written so far.
        maps: companions by their names in ``extras``.
        picture: the figure.
        sigma: noise level of each volume so far.
        variation: of each volume so far.
    """

    case: Case
    destination: Path
    started: float | None
    writer: SeriesWriter | None = None
    files: list[Path] = field(default_factory=list)
    maps: dict[str, MapWriter] = field(default_factory=dict)
    picture: list[Path] = field(default_factory=list)
    sigma: list[float] | None = None
    variation: list[float] | None = None

    def abandon(self) -> None:
        """Leave nothing half-written behind."""
        for writer in (self.writer, *self.maps.values()):
            if writer is not None:
                writer.abandon()


class SaveVolumed(MapTransform):
    """Write the denoised image with its source's headers, and a run record beside it.

    A series that comes in parts (``volumes`` of the item, :func:`mri_denoise.io.chunks.chunks`) is written as they
    come; its files are in their place after the last one. With a ``background`` (an executor of one thread, an
    attribute) files are written there, each image while the network works on the next one; ``record`` is then a
    Future of the record. The item's ``sigma`` goes into the record and the noise map, ``raw`` (the image as it
    was read) into the residual.

    Args:
        keys: the denoised image of shape (T, X, Y, Z) in the file's units.
        cases: what :func:`mri_denoise.io.discover` found.
        output_dir: where ``Case.output`` goes.
        model: name and version of the bundle, and SHA-256 of its weights: ``{"name", "version", "weights_sha256"}``.
        settings: everything else that shapes the result, for the record and for DICOM's identifiers.
        extras: which companions to write: ``"residual"`` (input minus output), ``"noise-map"`` (sigma at each voxel),
            ``"figure"`` (input, output and absolute residual as a picture).
        keep_vendor_headers: of DICOM, keep private blocks that describe the old pixels (Siemens CSA).
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
    ) -> None:
        super().__init__(keys)
        self.cases, self.output_dir, self.model = cases, Path(output_dir), dict(model)
        self.settings, self.extras = dict(settings or {}), tuple(extras)
        self.keep_vendor_headers = keep_vendor_headers
        self.background: Executor | None = None
        self._open: _Open | None = None
        self._writing: Future[dict[str, Any] | None] | None = None

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write; the item, of a series in parts the last one, gets the record under ``record``."""
        d = dict(data)
        case = self.cases[int(d["case"])]
        part = chunk_of(d)
        if part.first or self._open is None:
            self.abandon()
            self._open = _Open(case, self.output_dir / case.output, d.get("started"))
        now = self._open
        keys = {self.keys[0], "sigma", "sigma_variation", *(["raw"] if self.extras else [])}
        needed = {key: value for key, value in d.items() if key in keys}  # nothing else is held until it is written
        if self.background is None:
            record: Any = self._put(now, part, needed)
        else:
            if self._writing is not None:
                self._writing.result()  # one part at a time, and what befell it ends the case
            record = self._writing = self.background.submit(self._put, now, part, needed)
        if part.last:
            d["record"] = record
            self._open = self._writing = None
        return d

    def abandon(self) -> None:
        """Remove what is half-written."""
        if self._writing is not None and not self._writing.cancel():
            wait([self._writing])
        if self._open is not None:
            self._open.abandon()
        self._open = self._writing = None

    def _put(self, now: _Open, part: Chunk, d: Mapping[Hashable, Any]) -> dict[str, Any] | None:
        """Write an item's volumes; gives the record after the last ones."""
        result = np.asarray(d[self.keys[0]])
        try:
            if part.whole:
                derivation = self._derivation(d.get("sigma"))
                keep = self.keep_vendor_headers
                now.files += write(now.case, result, now.destination, derivation, keep_vendor_headers=keep)
            else:
                if now.writer is None:
                    now.writer = SeriesWriter(now.case, now.destination)
                now.writer.put(result)
            if self.extras:
                self._put_extras(now, d, result, len(result) if part.whole else part.total)
            now.sigma = _more(now.sigma, d.get("sigma"))
            now.variation = _more(now.variation, d.get("sigma_variation"))
            return self._finish(now) if part.last else None
        except BaseException:
            now.abandon()
            raise

    def _finish(self, now: _Open) -> dict[str, Any]:
        """Put files into their place and write the record."""
        if now.writer is not None:
            now.files += now.writer.finish()
        companions = [writer.finish() for writer in now.maps.values()] + now.picture
        record = {
            "time": provenance.now(),
            "model": self.model,
            "settings": self.settings,
            "sigma": now.sigma,
            "sigma_variation": now.variation,
            "case": now.case.label,
            "inputs": [{"path": str(p), "sha256": sha256(p)} for p in now.case.sources],
            "outputs": [str(p) for p in now.files],
            "companions": [str(p) for p in companions],
            "seconds": None if now.started is None else round(time.monotonic() - float(now.started), 3),
            "versions": provenance.versions(),
        }
        provenance.write_record(record, companion(now.case, now.destination, "", ".mri-denoise.json"))
        return record

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

    def _put_extras(self, now: _Open, d: Mapping[Hashable, Any], result: np.ndarray, count: int) -> None:
        """The companions' next volumes, out of ``count``; the figure shows the first volume."""
        raw, sigma = d["raw"], d.get("sigma")
        affine = np.asarray(raw.affine, dtype=np.float64)
        raw = np.asarray(raw)
        wanted = {}
        if "residual" in self.extras:
            wanted["residual"] = raw - result
        if "noise-map" in self.extras and sigma is not None:
            level = np.asarray(sigma, dtype=np.float32)
            wanted["noise-map"] = np.broadcast_to(level.reshape(*level.shape, *[1] * (4 - level.ndim)), result.shape)
        for name, array in wanted.items():
            if name not in now.maps:
                path = companion(now.case, now.destination, _SUFFIXES[name])
                now.maps[name] = MapWriter(affine, now.case, path, count)
            now.maps[name].put(array)
        if "figure" in self.extras and not now.picture:
            from mri_denoise.report.figures import comparison

            picture = companion(now.case, now.destination, "_figure", ".png")
            if now.case.kind == "image":
                comparison(raw[0, :, :, 0], result[0, :, :, 0], picture)
            else:
                comparison(raw, result, picture, affine=affine)
            now.picture.append(picture)


def _more(levels: list[float] | None, part: torch.Tensor | None) -> list[float] | None:
    """The levels of the volumes so far and of the next ones."""
    described = _describe(part)
    return levels if described is None else [*(levels or []), *described]


def _describe(sigma: torch.Tensor | None) -> list[float] | None:
    """One number a volume: the level, or the median of a map."""
    if sigma is None:
        return None
    sigma = torch.as_tensor(sigma, dtype=torch.float32)
    return [float(np.float32(value)) for value in sigma.reshape(sigma.shape[0], -1).median(dim=1).values]
