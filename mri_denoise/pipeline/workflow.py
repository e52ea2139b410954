"""The only bridge to bundles: find one, override its config, run it through MONAI's ConfigWorkflow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from mri_denoise._monai import import_monai
from mri_denoise.bundles.registry import Bundle
from mri_denoise.errors import InputError, as_input_error, find_error
from mri_denoise.io.case import Case
from mri_denoise.runtime import choose_device, quiet


@dataclass
class Settings:
    """What a user chooses for a run; a bundle takes those of the choices that its ``inference.yaml`` names.

    Args:
        sigma: ``"auto"``, ``"map"``, a number in the files' units, or the path of a map.
        strength: 0 to 1.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
        extras: companions to write: ``"residual"``, ``"noise-map"``, ``"figure"``.
        planes: ``"auto"``, 1 or 3: slices along one plane, or along three and averaged.
        picture_size: pictures are resized to so many pixels on each side (the paper: 256); None keeps their size.
        keep_vendor_headers: of DICOM, keep private blocks that describe the old pixels (Siemens CSA).
        progress: whether slices are counted on a bar.
    """

    sigma: str = "auto"
    strength: float = 1.0
    device: str = "auto"
    extras: Sequence[str] = field(default_factory=tuple)
    planes: int | str = "auto"
    picture_size: int | None = None
    keep_vendor_headers: bool = False
    progress: bool = False


class DenoiseWorkflow:
    """A bundle's inference workflow, made once and run case by case, so that one bad case does not stop the others.

    Args:
        bundle: what to run.
        cases: what to denoise.
        output_dir: where the results go.
        settings: the user's choices.
        background: an executor of one thread, which reads ahead and writes behind (:meth:`begin`); None does one thing
            after another.

    Raises:
        InputError: if the bundle lacks what MONAI requires of an inference workflow, or its weights cannot be used.
    """

    def __init__(
        self,
        bundle: Bundle,
        cases: Sequence[Case],
        output_dir: Path,
        settings: Settings,
        background: Executor | None = None,
    ) -> None:
        self._broken = False
        self._background = background
        choices = {
            "sigma": settings.sigma,
            "planes": settings.planes,
            "strength": settings.strength,
            "extras": list(settings.extras),
            "picture_size": settings.picture_size,
            "keep_vendor_headers": settings.keep_vendor_headers,
        }
        override: dict[str, Any] = {
            "bundle_root": str(bundle.folder),
            "output_dir": str(output_dir),
            "device": f"$torch.device('{choose_device(settings.device)}')",
            "handlers": [],
            "inferer#progress": settings.progress,
            **{name: value for name, value in choices.items() if name in bundle.options},
        }
        with quiet():
            import_monai(everything=not bundle.shipped)
            from monai.bundle import ConfigWorkflow

            self._workflow = ConfigWorkflow(
                config_file=str(bundle.config("inference.yaml")),
                meta_file=str(bundle.config("metadata.json")),
                logging_file=False,
                workflow_type="inference",
                **override,
            )
            # cases are objects, which a config cannot hold: the one case at hand replaces what discovery would find
            self._workflow.parser["cases"] = [cases[0]]
            try:
                self._start()
                missing = self._workflow.check_properties()
            except Exception as error:
                raise find_error(error) or error from error
            if missing:
                raise InputError(f"{bundle.folder}: not an inference bundle, it lacks {', '.join(missing)}.")

    def _start(self) -> None:
        """Make the evaluator and all that belongs to it anew."""
        self._workflow.initialize()
        self._evaluator = self._workflow.parser.get_parsed_content("evaluator")
        self._live: list[Case] = self._workflow.parser.get_parsed_content("cases")
        self._live[:] = [self._live[0]] * 2  # the case at hand and the next one, which take turns
        self._number = 0
        dataset = self._workflow.parser.get_parsed_content("dataset")
        self._items: list[Any] = dataset.data
        self._ahead: Any = None
        if self._background is not None and "volumes" in self._items[0]:
            from mri_denoise.pipeline.stream import ReadAhead

            dataset.transform = self._ahead = ReadAhead(dataset.transform, self._background)
            for saver in self._file_transforms("postprocessing"):
                saver.background = self._background

    def _file_transforms(self, chain: str) -> list[Any]:
        """Transforms of a chain that hold files open."""
        from mri_denoise.transforms import LoadVolumed, SaveVolumed

        every = getattr(self._workflow.parser.get_parsed_content(chain), "transforms", ())
        return [transform for transform in every if isinstance(transform, LoadVolumed | SaveVolumed)]

    def _take(self, case: Case, following: Case | None) -> None:
        """Make a case the one at hand, and another the one that is read ahead."""
        if "volumes" not in self._items[0]:  # a bundle may read cases as a whole
            self._live[0] = case
            return
        items = self._chunks(case)
        self._items[:] = items
        self._evaluator.state.epoch_length = len(items)
        if self._ahead is not None:
            self._ahead.plan(items if following is None else [*items, *self._chunks(following)[:1]])

    def _chunks(self, case: Case) -> list[dict[str, Any]]:
        """The items of a case, under the number that it was announced with or the other one."""
        from mri_denoise.io.chunks import chunks

        if self._live[self._number] is not case:
            self._number = 1 - self._number
            self._live[self._number] = case
        return [{**part, "case": self._number} for part in chunks([case])]

    def abandon(self) -> None:
        """Let go of files that are open, and forget what was read ahead."""
        if self._ahead is not None:
            self._ahead.abandon()
        for chain in ("preprocessing", "postprocessing"):
            for transform in self._file_transforms(chain):
                transform.abandon()

    def run(self, case: Case) -> dict[str, Any]:
        """Denoise one case and write it.

        Returns:
            its run record.

        Raises:
            InputError: if the case cannot be read, denoised or written.
        """
        return self.begin(case)()

    def begin(self, case: Case, following: Case | None = None) -> Callable[[], dict[str, Any]]:
        """Denoise one case, and have it written in the background if there is one.

        Args:
            case: what to denoise.
            following: the case after it, if known, which is read in the background meanwhile.

        Returns:
            a function that waits until the case is written; it gives the run record, or raises InputError.

        Raises:
            InputError: if the case cannot be read or denoised; without a background also if it cannot be written.
        """
        with quiet():
            if self._broken:
                self._start()
            # an engine of Ignite that an error has left does nothing when it is run again
            self._broken = True
            try:
                self._take(case, following)
                self._workflow.run()
                record = self._evaluator.state.output[0]["record"]
            except BaseException as error:
                self.abandon()
                if isinstance(error, Exception):
                    raise as_input_error(case.label, error) from error
                raise
            # the images of this case shall not be in memory together with those of the next one
            self._evaluator.state.batch = self._evaluator.state.output = None
            self._broken = False
        return partial(_finish, case, record)

    def close(self) -> None:
        """Run the bundle's ``finalize``."""
        with quiet():
            self._workflow.finalize()


def _finish(case: Case, record: dict[str, Any] | Future[dict[str, Any]]) -> dict[str, Any]:
    """Wait until a case is written; gives its run record.

    Raises:
        InputError: if it cannot be written.
    """
    try:
        return record.result() if isinstance(record, Future) else record
    except Exception as error:
        raise as_input_error(case.label, error) from error
