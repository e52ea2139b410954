"""The result of a case on disk: the image with its source's headers, companions on request, and the run record."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mri_denoise import __version__, record
from mri_denoise.bundles.registry import Model
from mri_denoise.denoiser import Denoised
from mri_denoise.io.case import Case, Derivation
from mri_denoise.io.chunks import Chunk
from mri_denoise.io.files import reading, write_beside, writing
from mri_denoise.io.formats import VolumeWriter
from mri_denoise.io.staging import Staging, TakenError, refuse_inputs
from mri_denoise.io.writing import open_map, open_writer
from mri_denoise.noise.cautions import names
from mri_denoise.pipeline.files import companion_path, planned_files, record_path, sidecars
from mri_denoise.pipeline.findings import Findings
from mri_denoise.pipeline.inputs import Stamp, refuse_changes, take_stamp
from mri_denoise.record import FileHash, RunRecord
from mri_denoise.settings import DEFAULTS, EXTRAS, Extra, Sigma, check_extras
from mri_denoise.volume import Volume


@dataclass(frozen=True, kw_only=True)
class Output:
    """Where results go, and what is written.

    Args:
        folder: what ``Case.output`` is relative to.
        model: what is recorded of the bundle.
        extras: companions: ``"residual"`` (input minus result), ``"noise-map"`` (sigma at each voxel),
            ``"uncertainty"`` (standard deviation over mirror images), ``"guard-map"`` (where something came back),
            ``"figure"`` (input, result and absolute residual as a picture), ``"report"`` (an HTML page to look at).
        keep_vendor_headers: keep private DICOM blocks that describe the old pixels (Siemens CSA).
        overwrite: replace results that exist.

    Raises:
        InputError: for a companion that there is not.
    """

    folder: Path
    model: Model
    extras: Sequence[Extra] = ()
    keep_vendor_headers: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        check_extras(self.extras)


class ResultWriter:
    """Writes the result of a case as its chunks come; nothing is at its destination before the last one.

    Args:
        case: what is denoised.
        output: where it goes.
    """

    def __init__(self, case: Case, output: Output) -> None:
        self._case, self._output = case, output
        self._files: Staging | None = None
        self._image: VolumeWriter | None = None
        self._maps: dict[Extra, VolumeWriter] = {}
        self._pictures: list[Path] = []
        self._found = Findings()
        self._settings: Mapping[str, str | float | int | None] = {}
        self._device = "cpu"

    def put(self, denoised: Denoised, chunk: Chunk) -> None:
        """Write the next volumes.

        Args:
            denoised: the result of a chunk.
            chunk: which volumes of the case it holds.

        Raises:
            InputError: if they cannot be written; nothing is left of the result then.
        """
        try:
            if self._files is None:
                self._files = Staging(planned_files(self._case, self._output.folder, EXTRAS))
            with self._files.errors_by_final_name():
                self._put(self._files, denoised, chunk)
        except BaseException:
            self.abandon()
            raise

    def finish(self, seconds: float, inputs: Sequence[Stamp] | None = None) -> RunRecord:
        """Put files into their place after the last chunk, and write the record.

        Args:
            seconds: what the case took until now.
            inputs: the files that were read, as they were before.

        Returns:
            the record; if another program has made the same result meanwhile, that one's.

        Raises:
            InputError: if an input is not what it was any more, or the files cannot be written; nothing is left of the
                result then.
        """
        files = self._files
        if files is None:
            raise ValueError("finish() before the first chunk")
        try:
            with files.errors_by_final_name():
                return self._publish(files, seconds, inputs)
        except BaseException:
            self.abandon()
            raise

    def _publish(self, files: Staging, seconds: float, inputs: Sequence[Stamp] | None) -> RunRecord:
        derivation = self._derivation()
        results = [files.final(path) for path in self._image.finish(derivation)] if self._image else []
        companions = [files.final(path) for writer in self._maps.values() for path in writer.finish(derivation)]
        companions += self._pictures
        beside_it = sidecars(self._case, self._output.folder)
        copied = self._copy_sidecars(files, beside_it)
        page = companion_path(self._case, self._output.folder, "report") if "report" in self._output.extras else None
        made_of = [take_stamp(path) for path in self._inputs()]
        refuse_changes(inputs or made_of, made_of)
        done = RunRecord(
            time=record.now(),
            case=self._case.label,
            model=self._output.model,
            settings=self._settings,
            sigma=self._found.sigma,
            sigma_variation=self._found.variation,
            zero=self._found.zero,
            returned=self._found.returned,
            cautions=None if self._found.cautions is None else names(self._found.cautions),
            changed=self._found.changed,
            inputs=[FileHash(path=str(stamp.path), sha256=stamp.sha256) for stamp in made_of],
            outputs=[str(path) for path in results],
            companions=[str(path) for path in [*companions, *beside_it.values(), *([page] if page else [])]],
            device=self._device.partition(":")[0],
            collaborative_filter=record.filter_form(self._settings),
            seconds=round(seconds, 3),
            versions=record.versions(),
        )
        beside = record_path(self._case, self._output.folder)
        overwrite = self._output.overwrite
        made = [*results, *companions, *copied]
        if page is not None:
            self._write_page(files, done, page)
            made.append(page)
        refuse_inputs([*made, beside], self._inputs())
        if overwrite:
            with writing(beside):
                beside.unlink(missing_ok=True)  # it must not speak of a result that it was not written for
        try:
            files.publish(made, self._inputs(), overwrite=overwrite)
        except TakenError:
            if (other := record.same_result(done, beside)) is None:
                raise
            self.abandon()
            return other
        record.write_record(done.as_dict(), files.place(beside))
        files.publish([beside], overwrite=overwrite)
        files.seal()
        return done

    def _write_page(self, files: Staging, done: RunRecord, page: Path) -> None:
        """The page, made of the files that are not published yet.

        It takes seconds: another run that meets a result without its record meanwhile takes it for somebody's.
        """
        from mri_denoise.report.scan_page import write_scan_page

        staged = {path: files.place(Path(path)) for path in [*done.outputs, *done.companions]}
        folder = record_path(self._case, self._output.folder).parent
        write_scan_page(done, folder, files.place(page), staged=staged)

    def _copy_sidecars(self, files: Staging, pairs: Mapping[Path, Path]) -> list[Path]:
        """Those that are not there yet."""
        missing = {source: final for source, final in pairs.items() if not final.exists()}
        for source, final in missing.items():
            with reading(source), write_beside(files.place(final)) as partial:
                shutil.copyfile(source, partial)
        return list(missing.values())

    def _inputs(self) -> list[Path]:
        """The files that the result was made of: those of the case, and the map of the noise level if there was one."""
        level = Sigma.parse(str(self._settings.get("sigma", DEFAULTS.sigma))).path
        return [*self._case.sources, *([level] if level else [])]

    def abandon(self) -> None:
        """Leave nothing of the result behind; has no effect after `finish`."""
        for writer in (self._image, *self._maps.values()):
            if writer is not None:
                writer.abandon()
        if self._files is not None:
            self._files.abandon()

    def _put(self, files: Staging, denoised: Denoised, chunk: Chunk) -> None:
        self._settings, self._device = denoised.settings, denoised.device
        if self._image is None:
            destination = files.place(self._output.folder / self._case.output)
            keep = self._output.keep_vendor_headers
            self._image = open_writer(self._case, destination, keep_vendor_headers=keep)
        self._image.put(denoised.volume.array)
        self._put_maps(files, denoised, len(denoised.volume.array) if chunk.whole else chunk.total)
        if "figure" in self._output.extras and denoised.raw is not None and not self._pictures:
            self._pictures.append(self._draw(files, denoised.raw, denoised.volume))
        self._found.add(denoised)

    def _put_maps(self, files: Staging, denoised: Denoised, count: int) -> None:
        """The next volumes of the residual and of the maps that are wanted, which have ``count``."""
        result = denoised.volume.array
        wanted: dict[Extra, np.ndarray] = {}
        if "residual" in self._output.extras and denoised.raw is not None:
            wanted["residual"] = denoised.raw - result
        if "noise-map" in self._output.extras and denoised.sigma is not None:
            level = denoised.sigma.astype(np.float32, copy=False)
            wanted["noise-map"] = np.broadcast_to(level.reshape(*level.shape, *[1] * (4 - level.ndim)), result.shape)
        if "uncertainty" in self._output.extras and denoised.uncertainty is not None:
            wanted["uncertainty"] = denoised.uncertainty
        if "guard-map" in self._output.extras and denoised.guard_map is not None:
            wanted["guard-map"] = denoised.guard_map
        for name, array in wanted.items():
            if name not in self._maps:
                path = files.place(companion_path(self._case, self._output.folder, name))
                self._maps[name] = open_map(self._case, path, affine=denoised.volume.affine, count=count)
            self._maps[name].put(array)

    def _draw(self, files: Staging, raw: np.ndarray, result: Volume) -> Path:
        """The figure of the first volume."""
        from mri_denoise.report.figures import comparison

        path = companion_path(self._case, self._output.folder, "figure")
        if result.picture:
            comparison(raw[0, :, :, 0], result.array[0, :, :, 0], files.place(path))
        else:
            comparison(raw, result.array, files.place(path), affine=result.affine)
        return path

    def _derivation(self) -> Derivation:
        """What DICOM says of how the result came about."""
        if self._found.sigma is None:
            text = "not used"
        else:
            origin = "estimated" if self._settings.get("sigma") in ("auto", "map") else "given"
            text = f"{origin}, " + ", ".join(f"{value:.6g}" for value in self._found.sigma)
        model = self._output.model
        return Derivation(
            model=model.name,
            version=model.version,
            weights_sha256=model.weights_sha256,
            sigma=text,
            strength=float(self._settings.get("strength", 1.0) or 0),
            software_version=__version__,
            settings=" ".join(f"{key}={value}" for key, value in sorted(self._settings.items())),
        )
